//! Any text, read as what is under the gzip of a case capsule, and judged.

use std::hint::black_box;
use std::path::PathBuf;

use crate::analysis::capsule::read_text;
use crate::analysis::run::diagnose;
use crate::base::progress::Progress;

/// Reads `text` as a capsule and judges what it holds. Whether it was a capsule.
///
/// # Panics
/// When an error takes more than one line.
pub fn read_as_capsule(text: &str) -> bool {
    let analysis = match read_text(PathBuf::from("any.dumptrend"), text.to_owned(), &Progress::default()) {
        Ok(analysis) => analysis,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "an error takes one line: {error}");
            return false;
        }
    };
    for group in &analysis.groups {
        let symbols = analysis.symbols_of(group);
        for va in analysis.shown_addresses(group) {
            black_box((symbols.name_of(va), symbols.line_of(va), symbols.function_start(va)));
        }
    }
    black_box(diagnose(&analysis, &Progress::default()).is_ok());
    true
}
