//! The dump reader: streams, odd and hostile files, and agreement with the minidump crate on real ones.

mod agreement;
mod hostile;
mod memory;
mod odd_lists;
mod properties;
mod streams;
mod wrong_files;
