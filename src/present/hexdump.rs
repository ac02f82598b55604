//! Memory as lines of 16 bytes with their text, as WinDbg's `db` lists it.

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::ReadMemory;

pub const BYTES_PER_LINE: u64 = 16;

/// How many lines a range takes.
pub fn line_count(range: VaRange) -> usize {
    usize::try_from(range.size_bytes().div_ceil(BYTES_PER_LINE)).unwrap_or(usize::MAX)
}

/// Line number `line` of a range: `00000000`01a40a90  41 42 ...  AB...`. Bytes that the dump lacks are `??`.
pub fn line_text(memory: &dyn ReadMemory, range: VaRange, line: usize, width: PointerWidth) -> String {
    let offset = (line as u64).saturating_mul(BYTES_PER_LINE);
    let Some(start) = range.start.checked_add(offset) else { return String::new() };
    let length = range.end.0.saturating_sub(start.0).min(BYTES_PER_LINE);
    let byte = |at: u64| memory.bytes_at(Va(start.0.saturating_add(at)), 1).first().copied();
    let bytes: Vec<Option<u8>> = (0..length).map(byte).collect();
    let hex: Vec<String> = bytes
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            let text = byte.map_or_else(|| "??".to_owned(), |byte| format!("{byte:02x}"));
            // WinDbg divides a line in its middle.
            if at == 8 {
                format!("-{text}")
            } else if at == 0 {
                text
            } else {
                format!(" {text}")
            }
        })
        .collect();
    let text: String = bytes
        .iter()
        .map(|byte| match byte {
            Some(byte @ 0x20..=0x7e) => char::from(*byte),
            Some(_) => '.',
            None => '?',
        })
        .collect();
    format!("{}  {:<47}  {text}", start.windbg(width), hex.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Few;

    impl ReadMemory for Few {
        fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
            const BYTES: [u8; 10] = *b"AB\0\x7fz01234";
            let start = usize::try_from(va.0.saturating_sub(0x1000)).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(length).unwrap_or(0)).min(BYTES.len());
            BYTES.get(start..end).unwrap_or_default()
        }
    }

    #[test]
    fn lines_read_as_db_lists_them() {
        let range = VaRange { start: Va(0x1000), end: Va(0x100c) };
        assert_eq!(line_count(range), 1);
        assert_eq!(
            line_text(&Few, range, 0, PointerWidth::Bits32),
            "00001000  41 42 00 7f 7a 30 31 32-33 34 ?? ??              AB..z01234??"
        );
    }
}
