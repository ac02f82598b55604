//! Words that every layer speaks. Imports nothing else of ours.
//!
//! **Invariant:** no file is opened here, and no layout of Windows is known here.

pub mod addr;
pub mod bytes;
pub mod file_name;
pub mod ids;
pub mod memory;
pub mod pairs;
pub mod printable;
pub mod problems;
pub mod progress;
pub mod text_lines;
pub mod time;
pub mod units;
pub mod version;
pub mod word;
