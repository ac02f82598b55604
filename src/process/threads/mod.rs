//! Threads of the process: their TEBs and their CPU times.

pub mod cpu_times;
pub mod stack_use;
pub mod teb;
pub mod wow64_context;
