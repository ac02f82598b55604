//! Any text, read as a case capsule without its gzip. What must not happen: a panic, a hang, or memory in proportion to a number
//! found in the text.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    dumptrend::analysis::fuzz::read_as_capsule(text);
});
