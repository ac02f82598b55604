//! All integration tests in one binary, which links quicker than one each.

mod architecture;
mod capsule;
mod cli;
mod diagnosis;
mod dump;
mod fuzz_corpus;
#[cfg(feature = "gui")]
mod gui;
#[cfg(feature = "gui")]
mod gui_capsule;
#[cfg(feature = "gui")]
mod gui_modules;
#[cfg(feature = "gui-images")]
mod gui_pictures;
#[cfg(feature = "gui")]
mod gui_umdh;
mod heap;
mod html;
mod markdown;
mod modules;
mod real;
mod real_process;
mod regions;
mod report;
mod sample;
mod series;
mod stacks;
mod support;
mod symbols;
mod time_to_full;
mod traces;
mod umdh;
mod umdh_logs;
