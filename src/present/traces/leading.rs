//! Names of frames for whoever shows stacks; which frame leads is decided in the analysis.

use std::sync::Arc;

pub use crate::analysis::series::leading_frame::{SkipRules, frame_text, function_text, leading_frame};
use crate::input::symbols::SymbolTable;

/// How the leading frame of a stack is found, for whoever shows one.
#[derive(Clone)]
pub struct Naming {
    pub symbols: Arc<SymbolTable>,
    pub rules: Arc<SkipRules>,
}
