//! Parts that know egui and nothing of dumps.

pub mod flame;
pub mod strip;
pub mod table;
