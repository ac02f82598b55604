//! Real files, which lie beside the repository and are never copied into it.

use std::path::{Path, PathBuf};

/// The real dumps that open, small ones first.
pub const READABLE_DUMPS: [&str; 8] = [
    "dumps/test.dmp",
    "dumps/minidump2.dmp",
    "dumps/read_av_non_null.dmp",
    "dumps/null_write_av.dmp",
    "dumps/invalid-parameter.dmp",
    "dumps/tiny-exe-fastfail.dmp",
    "dumps/electron.dmp",
    "dumps/fizzbuzz_wow64.dmp",
];

/// A file of the shared folder: that of `DUMPTREND_SHARED`, else the one beside the repository. Without it the test has
/// nothing to look at and says so; under `DUMPTREND_REQUIRE_SHARED=1` that is a failure.
pub fn shared_file(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("DUMPTREND_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    let is_required = std::env::var("DUMPTREND_REQUIRE_SHARED").is_ok_and(|value| value == "1");
    assert!(!is_required, "{} is not there, and DUMPTREND_REQUIRE_SHARED is set", path.display());
    println!("skipped: {} is not there; set DUMPTREND_SHARED to the folder with the real dumps", path.display());
    None
}

/// The bytes of a file.
pub fn bytes_of(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).expect("the file opens");
    std::io::Read::read_to_end(&mut file, &mut bytes).expect("the file can be read");
    bytes
}
