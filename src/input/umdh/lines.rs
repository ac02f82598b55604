//! The lines of a text file, one after the other, whatever its encoding: nothing but the line at hand is copied.

use serde::{Deserialize, Serialize};

use crate::base::addr::FileOffset;

/// A line longer than this comes in pieces; the longest that UMDH writes is a template's name.
const MAX_LINE_BYTES: usize = 1 << 16;

/// How a log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Encoding {
    /// One byte a character, or UTF-8: what UMDH writes itself.
    Narrow,
    /// What a redirection in PowerShell writes.
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// By the byte order mark, else by where the zero bytes of the first characters are.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            [first, 0, second, 0, ..] if *first != 0 && *second != 0 => Self::Utf16Le,
            [0, first, 0, second, ..] if *first != 0 && *second != 0 => Self::Utf16Be,
            _ => Self::Narrow,
        }
    }

    /// For reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Narrow => "ASCII or UTF-8",
            Self::Utf16Le => "UTF-16 LE",
            Self::Utf16Be => "UTF-16 BE",
        }
    }

    fn mark_bytes(self, bytes: &[u8]) -> usize {
        match (self, bytes) {
            (Self::Narrow, [0xef, 0xbb, 0xbf, ..]) => 3,
            (Self::Utf16Le, [0xff, 0xfe, ..]) | (Self::Utf16Be, [0xfe, 0xff, ..]) => 2,
            _ => 0,
        }
    }
}

/// One line without its end.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// From 1.
    pub number: u64,
    pub offset: FileOffset,
    /// UTF-8, or the bytes of an ANSI code page.
    pub bytes: &'a [u8],
    /// Only a piece of an overlong line.
    pub is_piece: bool,
}

/// Where to go on reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub at: usize,
    /// Lines before it.
    pub number: u64,
}

/// Reads lines; a line is good until the next one is asked for.
pub struct Lines<'m> {
    bytes: &'m [u8],
    encoding: Encoding,
    place: Place,
    is_in_line: bool,
    decoded: Vec<u8>,
}

impl<'m> Lines<'m> {
    pub fn new(bytes: &'m [u8], encoding: Encoding) -> Self {
        let at = encoding.mark_bytes(bytes);
        Self::from_place(bytes, encoding, Place { at, number: 0 })
    }

    pub const fn from_place(bytes: &'m [u8], encoding: Encoding, place: Place) -> Self {
        Self { bytes, encoding, place, is_in_line: false, decoded: Vec::new() }
    }

    /// Where the next line begins.
    pub const fn place(&self) -> Place {
        self.place
    }

    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let start = self.place.at;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let window = rest.get(..rest.len().min(MAX_LINE_BYTES)).unwrap_or(rest);
        let (length, end_bytes) = match self.encoding {
            Encoding::Narrow => match window.iter().position(|byte| *byte == b'\n') {
                Some(length) => (length, 1),
                None => (window.len(), 0),
            },
            Encoding::Utf16Le => units_before(window, [b'\n', 0]),
            Encoding::Utf16Be => units_before(window, [0, b'\n']),
        };
        let is_whole = end_bytes > 0 || length == rest.len();
        let is_piece = !is_whole || self.is_in_line;
        if !self.is_in_line {
            self.place.number = self.place.number.saturating_add(1);
        }
        self.is_in_line = !is_whole;
        // An odd last byte of UTF-16 would never be used up.
        self.place.at = start.saturating_add(length).saturating_add(end_bytes).max(start.saturating_add(1));
        let raw = window.get(..length).unwrap_or_default();
        let bytes = match self.encoding {
            Encoding::Narrow => raw,
            Encoding::Utf16Le => decode(raw, u16::from_le_bytes, &mut self.decoded),
            Encoding::Utf16Be => decode(raw, u16::from_be_bytes, &mut self.decoded),
        };
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Some(Line { number: self.place.number, offset: FileOffset(start as u64), bytes, is_piece })
    }
}

/// Bytes before a line end in UTF-16, and how many bytes that takes.
fn units_before(window: &[u8], end: [u8; 2]) -> (usize, usize) {
    match window.chunks_exact(2).position(|unit| unit == end) {
        Some(units) => (units.saturating_mul(2), 2),
        None => (window.len(), 0),
    }
}

fn decode<'a>(raw: &[u8], unit: fn([u8; 2]) -> u16, decoded: &'a mut Vec<u8>) -> &'a [u8] {
    decoded.clear();
    let units = raw.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(unit));
    for character in char::decode_utf16(units) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    decoded
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "in a test a panic is a failure")]
mod tests {
    use super::*;

    fn lines_of(bytes: &[u8]) -> Vec<(u64, u64, String)> {
        let mut lines = Lines::new(bytes, Encoding::of(bytes));
        let mut found = Vec::new();
        while let Some(line) = lines.next_line() {
            found.push((line.number, line.offset.0, String::from_utf8_lossy(line.bytes).into_owned()));
        }
        found
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2], mark: &[u8]) -> Vec<u8> {
        mark.iter().copied().chain(text.encode_utf16().flat_map(to_bytes)).collect()
    }

    #[test]
    fn all_encodings_and_ends_give_the_same_lines() {
        let text = "// UMDH\r\n\r\nGrüße\nend";
        let texts = |lines: Vec<(u64, u64, String)>| lines.into_iter().map(|(_, _, text)| text).collect::<Vec<_>>();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            utf16(text, u16::to_le_bytes, &[0xff, 0xfe]),
            utf16(text, u16::to_be_bytes, &[0xfe, 0xff]),
            utf16(text, u16::to_le_bytes, &[]),
            utf16(text, u16::to_be_bytes, &[]),
        ] {
            assert_eq!(texts(lines_of(&bytes)), ["// UMDH", "", "Grüße", "end"], "{bytes:?}");
        }
    }

    #[test]
    fn lines_know_their_number_and_offset() {
        let found = lines_of(b"a\nbb\n\nc");
        assert_eq!(
            found.iter().map(|(number, offset, _)| (*number, *offset)).collect::<Vec<_>>(),
            [(1, 0), (2, 2), (3, 5), (4, 6)]
        );
    }

    #[test]
    fn an_odd_byte_and_an_endless_line_end() {
        assert_eq!(lines_of(&[0xff, 0xfe, b'a', 0, b'b']).len(), 1);
        let endless = vec![b'x'; MAX_LINE_BYTES * 2 + 5];
        let pieces = lines_of(&endless);
        assert_eq!((pieces.len(), pieces[2].0), (3, 1));
    }
}
