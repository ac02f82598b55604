//! Any bytes, read as a dump: every record and every region is touched. What must not happen: a panic, a hang, or memory
//! in proportion to a number found in the bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dumptrend::analysis::fuzz::open_and_walk(bytes);
});
