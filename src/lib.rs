//! dumptrend: what grew over a series of Windows process memory dumps, and who did it.
//!
//! The folders are the layers, bottom-up; an arrow may only point down this list. The table of who may import whom is in
//! ARCHITECTURE.md and is checked by `tests/it/architecture.rs`.
//!
//! - [`base`]: words that every layer speaks: addresses, sizes, time, progress, problems.
//! - [`input`]: files that we open, turned into plain records.
//! - [`process`]: what the dumped process looked like: PEB, threads, heaps, regions.
//! - [`analysis`]: joins the parts of one dump, compares the dumps of a series.
//! - [`present`]: facts turned into rows, text and chart points; no toolkit, no files.
//! - [`report`]: the presentation written as text, JSON and CSV.
//! - [`sample`]: writes the sample series; knows none of the decoders' layouts.
//! - [`jobs`]: work on threads for the window, with progress and cancel.
//! - [`cli`]: the console program.
//! - [`gui`]: the window.

pub mod analysis;
pub mod base;
pub mod cli;
#[cfg(feature = "gui")]
pub mod gui;
pub mod input;
pub mod jobs;
pub mod present;
pub mod process;
pub mod report;
pub mod sample;
