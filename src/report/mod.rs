//! The presentation written as files: text, JSON and CSV.

pub mod csv;
pub mod file;
pub mod json;
pub mod text;
