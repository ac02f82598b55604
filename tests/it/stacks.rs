//! Stacks of threads: sample, real dumps, memory built by hand for each rule of unwinding, and random bytes.

mod after_symbols;
mod other_processors;
mod properties;
mod real;
mod sample;
mod text;
mod x64;
mod x86;
