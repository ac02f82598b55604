//! Texts of a capsule made as safe to show as those of a dump, before they are taken apart: a capsule that somebody made by hand
//! may hold anything.

use crate::base::printable::is_unsafe;

/// JSON in which no text holds a character that could break a line, a terminal or the reading direction: each becomes U+FFFD,
/// written out or as an escape.
pub(super) fn safe_json(json: &str) -> String {
    const REPLACED: &str = "\\ufffd";
    let mut safe = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find(|c: char| c == '\\' || is_unsafe(c)) {
        let (clean, from) = rest.split_at(at);
        safe.push_str(clean);
        let length = escape_length(from);
        let (sign, after) = from.split_at(length);
        let is_kept = match sign.as_bytes() {
            [b'\\', b'u', digits @ ..] => !is_unsafe_unit(digits),
            [b'\\', b'b' | b'f' | b'n' | b'r' | b't'] => false,
            [b'\\', ..] => true,
            _ => false,
        };
        // Outside of texts a line's end is all that may stand, and means nothing.
        let is_line_end = matches!(sign, "\n" | "\r" | "\t");
        safe.push_str(if is_kept || is_line_end { sign } else { REPLACED });
        rest = after;
    }
    safe.push_str(rest);
    safe
}

/// How long the escape or the single character at the start is, in bytes.
fn escape_length(text: &str) -> usize {
    let mut chars = text.char_indices();
    let first = chars.next().map_or(0, |(_, c)| c.len_utf8());
    if !text.starts_with('\\') {
        return first;
    }
    let count = if text.starts_with("\\u") { 6 } else { 2 };
    text.char_indices().nth(count).map_or(text.len(), |(at, _)| at)
}

fn is_unsafe_unit(digits: &[u8]) -> bool {
    let unit = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    // Half of a pair is none of the unsafe characters; what is no number at all, the parser refuses.
    unit.and_then(char::from_u32).is_some_and(is_unsafe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let text: String = serde_json::from_str(&safe_json(json)).expect("still JSON");
        assert_eq!(text, expected, "{json}");
    }

    #[test]
    fn what_could_mislead_is_replaced_however_it_is_written() {
        check(r#""plain \"quoted\" C:\\Users\\new""#, "plain \"quoted\" C:\\Users\\new");
        check(r#""a\u001b[31m""#, "a\u{fffd}[31m");
        check("\"a\u{202e}b\\u202Ec\"", "a\u{fffd}b\u{fffd}c");
        check(r#""line\nbreak\r\t""#, "line\u{fffd}break\u{fffd}\u{fffd}");
        check(r#""Gr\u00fc\u00dfe \ud83d\ude00""#, "Grüße 😀");
        check("\"\u{9b}31m\"", "\u{fffd}31m");
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["\"\\", "\"\\u12", "\\", "\"\\uzzzz\""] {
            assert!(serde_json::from_str::<String>(&safe_json(text)).is_err(), "{text}");
        }
    }
}
