//! Text from a dump made safe to show: a name in a dump may hold anything.

use std::path::Path;

/// The longest text that is taken from a dump, in characters; NT paths end at 32,767 UTF-16 units.
pub const MAX_TEXT_CHARS: usize = 32_767;

/// Replaces what could break a line, a terminal or the reading direction (control characters, bidirectional marks, line
/// separators) by U+FFFD, and cuts overlong text.
pub fn printable(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a character could break a line, a terminal or the reading direction.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A path as messages show it: a file name may hold a line break too.
pub fn printable_path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// The last part of a Windows or Unix path.
pub fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mislead_is_replaced() {
        assert_eq!(printable("a\nb\u{202e}c\u{1b}[31m"), "a\u{fffd}b\u{fffd}c\u{fffd}[31m");
        assert_eq!(printable("Grüße.exe"), "Grüße.exe");
    }

    #[test]
    fn a_path_stays_on_one_line() {
        assert_eq!(printable_path(Path::new("/dumps/a\nb.dmp")), "/dumps/a\u{fffd}b.dmp");
    }

    #[test]
    fn file_names_end_both_kinds_of_paths() {
        assert_eq!(file_name(r"C:\Windows\System32\ntdll.dll"), "ntdll.dll");
        assert_eq!(file_name("/usr/lib/x.so"), "x.so");
        assert_eq!(file_name("plain"), "plain");
    }
}
