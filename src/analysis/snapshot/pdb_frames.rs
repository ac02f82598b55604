//! The frame data of PDBs as unwinding takes it.

use std::sync::Arc;

use crate::base::addr::Va;
use crate::input::symbols::{FrameWay, SymbolTable};
use crate::process::stacks::frame_data::{FrameData, FrameDataSource, FrameRule};

/// What the PDBs of a symbol table tell of x86 frames.
pub struct PdbFrames<'a>(pub &'a SymbolTable);

impl FrameDataSource for PdbFrames<'_> {
    fn frame_data(&self, ip: Va) -> Option<FrameData> {
        let (table, record, start) = self.0.frame_at(ip)?;
        let rule = match record.way {
            FrameWay::Fpo { saves_ebp } => FrameRule::Fpo { saves_ebp },
            FrameWay::Program(_) => FrameRule::Program(Arc::clone(table.program(record)?)),
        };
        Some(FrameData {
            start,
            prologue_bytes: record.prologue_bytes,
            local_bytes: record.local_bytes,
            saved_register_bytes: record.saved_register_bytes,
            parameter_bytes: record.parameter_bytes,
            rule,
        })
    }
}
