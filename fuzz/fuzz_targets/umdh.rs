//! Any bytes, read as a UMDH log, raw or a comparison, in any encoding. What must not happen: a panic, a hang, memory in
//! proportion to a number found in the bytes, or sums that contradict each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dumptrend::analysis::fuzz::read_as_log(bytes);
});
