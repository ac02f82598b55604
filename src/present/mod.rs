//! Facts turned into rows, text and chart points. The window, the console and the reports all show these, so that they
//! cannot disagree.
//!
//! **Invariant:** no toolkit, no files; a value that is not known is [`value::Value::Absent`], never 0.

pub mod advice;
pub mod allocations;
pub mod diagnosis;
pub mod dps;
pub mod dumps;
pub mod finding_table;
pub mod handles;
pub mod headline;
pub mod heaps;
pub mod hexdump;
pub mod log;
pub mod modules;
pub mod process;
pub mod regions;
pub mod series_plot;
pub mod stacks;
pub mod strip;
pub mod summary;
pub mod symbols;
pub mod table;
pub mod thread_groups;
pub mod thread_matrix;
pub mod thread_matrix_rows;
pub mod threads;
pub mod time_to_full;
pub mod traces;
pub mod umdh;
pub mod uses;
pub mod value;
pub mod windbg;
pub mod words;
