//! The memory of a made-up process, as the input of a fuzz target says it: fuzz/README.md, "Format of the stores' targets".

use crate::base::addr::{Va, VaRange};
use crate::base::bytes;
use crate::base::memory::ReadMemory;
use crate::process::traces::Hints;

/// One part: kind, start, size.
const PART_BYTES: u64 = 9;

/// What the decoders of the trace stores and of heaps are given.
///
/// **Invariant:** pieces are in order, not empty, do not overlap, and are borrowed from the input.
#[derive(Default)]
pub(super) struct ProcessImage<'d> {
    pub allocations: Vec<VaRange>,
    pub modules: Vec<VaRange>,
    pub hints: Hints,
    pub pieces: Vec<(Va, &'d [u8])>,
}

impl<'d> ProcessImage<'d> {
    /// Any bytes make a process: what does not fit is left out.
    pub fn read(data: &'d [u8]) -> Self {
        let mut image = Self::default();
        let part_count = u64::from(bytes::u8_at(data, 0).unwrap_or(0));
        let mut content_at = 1 + part_count * PART_BYTES;
        for part_at in (0..part_count).map(|part| 1 + part * PART_BYTES) {
            let (Some(kind), Some(start), Some(size)) =
                (bytes::u8_at(data, part_at), bytes::u32_at(data, part_at + 1), bytes::u32_at(data, part_at + 5))
            else {
                break;
            };
            let start = Va(u64::from(start));
            let range = VaRange::from_size(start, u64::from(size));
            match kind % 4 {
                0 => image.allocations.push(range),
                1 => image.modules.push(range),
                2 => {
                    let content = bytes::available_at(data, content_at, u64::from(size));
                    content_at += content.len() as u64;
                    image.pieces.push((start, content));
                }
                _ => image.set_hint(size, start),
            }
        }
        image.pieces.retain(|(_, content)| !content.is_empty());
        image.pieces.sort_by_key(|(start, _)| *start);
        image.pieces.dedup_by(|next, kept| next.0.0 < kept.0.0 + kept.1.len() as u64);
        image
    }

    fn set_hint(&mut self, which: u32, value: Va) {
        let hint = match which % 4 {
            0 => &mut self.hints.database_64,
            1 => &mut self.hints.database_32,
            2 => &mut self.hints.heap_log_64,
            _ => &mut self.hints.heap_log_32,
        };
        *hint = Some(value);
    }

    /// How many bytes of memory there are: no store can have more entries than fit into them.
    pub fn size_bytes(&self) -> u64 {
        self.pieces.iter().map(|(_, content)| content.len() as u64).sum()
    }
}

impl ReadMemory for ProcessImage<'_> {
    fn bytes_at(&self, va: Va, length: u64) -> &[u8] {
        let after = self.pieces.partition_point(|(start, _)| *start <= va);
        let found = after.checked_sub(1).and_then(|index| self.pieces.get(index));
        let Some((start, content)) = found else { return &[] };
        va.offset_from(*start).map(|offset| bytes::available_at(content, offset, length)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_pieces_put_in_order() {
        let mut data = vec![5];
        for (kind, start, size) in [(2_u8, 0x2000_u32, 2_u32), (0, 0x1000, 0x3000), (2, 0x1000, 3), (3, 0x77, 1)] {
            data.push(kind);
            data.extend(start.to_le_bytes());
            data.extend(size.to_le_bytes());
        }
        // Overlaps the first piece.
        data.extend([2, 1, 0x20, 0, 0, 9, 0, 0, 0]);
        data.extend([0xa, 0xb, 1, 2, 3, 0xff]);
        let image = ProcessImage::read(&data);
        assert_eq!(image.allocations, [VaRange { start: Va(0x1000), end: Va(0x4000) }]);
        assert_eq!(image.hints.database_32, Some(Va(0x77)));
        assert_eq!((image.bytes_at(Va(0x2000), 9), image.bytes_at(Va(0x1001), 9)), (&[0xa, 0xb][..], &[2, 3][..]));
        assert!(image.bytes_at(Va(0x1003), 1).is_empty() && image.bytes_at(Va(0), 1).is_empty());
        assert_eq!(image.size_bytes(), 5);
    }
}
