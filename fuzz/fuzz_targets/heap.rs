//! Any bytes, read as the memory of a process with a heap of any kind: fuzz/README.md has the format. What must not happen: a
//! panic, a hang, memory in proportion to a number found in the bytes, or a result that contradicts itself.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dumptrend::analysis::fuzz::walk_heap(bytes);
});
