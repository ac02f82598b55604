//! Places the memory contents behind the streams, and makes bytes or a sparse file of the whole.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::encode::{Deferred, encode_head};
use super::{MemoryRange, MinidumpFile, StreamContent};
use crate::sample::error::SampleError;
use crate::sample::le_bytes::LeBytes;

/// Bytes at a position of the file.
struct Placed<'a> {
    file_offset: u64,
    bytes: &'a [u8],
}

struct FileLayout<'a> {
    head: LeBytes,
    contents: Vec<Placed<'a>>,
    size_bytes: u64,
}

impl MinidumpFile {
    /// How large the file will be.
    pub fn size_bytes(&self) -> Result<u64, SampleError> {
        lay_out(self).map(|layout| layout.size_bytes)
    }

    /// The whole file. Holes become zeros, so keep them small here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SampleError> {
        let layout = lay_out(self)?;
        let size = usize::try_from(layout.size_bytes).unwrap_or(usize::MAX);
        let mut file = layout.head;
        file.push_zeros(size.saturating_sub(file.len()));
        for placed in &layout.contents {
            file.put(usize::try_from(placed.file_offset).unwrap_or(usize::MAX), placed.bytes);
        }
        Ok(file.into_vec())
    }

    /// Writes the file at `path`, replacing what is there. Holes are not written: on file systems with sparse files they
    /// take no room and no time. On an error the incomplete file stays for the caller to remove.
    pub fn write_to(&self, path: &Path) -> Result<(), SampleError> {
        let layout = lay_out(self)?;
        write_layout(&layout, path).map_err(|source| SampleError::WriteFile { path: path.to_owned(), source })
    }
}

fn write_layout(layout: &FileLayout<'_>, path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(layout.head.as_slice())?;
    file.set_len(layout.size_bytes)?;
    for placed in &layout.contents {
        file.seek(SeekFrom::Start(placed.file_offset))?;
        file.write_all(placed.bytes)?;
    }
    Ok(())
}

fn lay_out(file: &MinidumpFile) -> Result<FileLayout<'_>, SampleError> {
    let mut head = encode_head(file)?;
    let mut position = head.bytes.len() as u64;
    let mut contents = Vec::new();
    // The 32-bit list comes first: its positions must stay below 4 GB.
    for deferred in &head.deferred {
        let Deferred::MemoryList { stream_index, first_descriptor_at } = *deferred else {
            continue;
        };
        for (index, range) in ranges_of(file, stream_index).iter().enumerate() {
            let end = position.saturating_add(range.size_bytes);
            let (Ok(rva), Ok(_)) = (u32::try_from(position), u32::try_from(range.size_bytes)) else {
                let what = format!("the memory range at {} in a 32-bit memory list", range.start);
                return Err(SampleError::DoesNotFit { what, needed_bytes: end, available_bytes: u64::from(u32::MAX) });
            };
            head.bytes.put_u32(first_descriptor_at + index * 16 + 12, rva);
            position = place(range, position, &mut contents)?;
        }
    }
    for deferred in &head.deferred {
        let Deferred::Memory64List { stream_index, base_rva_at } = *deferred else {
            continue;
        };
        if file.is_page_aligned {
            position = position.next_multiple_of(0x1000);
        }
        head.bytes.put_u64(base_rva_at, position);
        for range in ranges_of(file, stream_index) {
            position = place(range, position, &mut contents)?;
        }
    }
    Ok(FileLayout { head: head.bytes, contents, size_bytes: position })
}

fn ranges_of(file: &MinidumpFile, stream_index: usize) -> &[MemoryRange] {
    match file.streams.get(stream_index).map(|stream| &stream.content) {
        Some(StreamContent::Memory(ranges) | StreamContent::Memory64(ranges)) => ranges,
        _ => &[],
    }
}

/// Returns the position behind the range.
fn place<'a>(range: &'a MemoryRange, position: u64, contents: &mut Vec<Placed<'a>>) -> Result<u64, SampleError> {
    for piece in &range.pieces {
        let needed_bytes = piece.offset_bytes.saturating_add(piece.bytes.len() as u64);
        if needed_bytes > range.size_bytes {
            let what = format!("a piece of the memory range at {}", range.start);
            return Err(SampleError::DoesNotFit { what, needed_bytes, available_bytes: range.size_bytes });
        }
        contents.push(Placed { file_offset: position + piece.offset_bytes, bytes: &piece.bytes });
    }
    Ok(position.saturating_add(range.size_bytes))
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryRange, MinidumpFile};
    use crate::base::addr::Va;
    use crate::base::bytes::{u32_at, u64_at};

    #[test]
    fn memory_contents_lie_where_the_lists_say() {
        let dump = MinidumpFile::new(2, 7)
            .memory64(vec![
                MemoryRange::hole(Va(0x10_0000), 0x1000).with(0x10, vec![1, 2]),
                MemoryRange::of_bytes(Va(0x20_0000), vec![9; 3]),
            ])
            .memory(vec![MemoryRange::of_bytes(Va(0x30_0000), vec![5; 4])]);
        let bytes = dump.to_bytes().unwrap();
        assert_eq!(bytes.len() as u64, dump.size_bytes().unwrap());
        let list64 = u64::from(u32_at(&bytes, 32 + 8).unwrap());
        let base = usize::try_from(u64_at(&bytes, list64 + 8).unwrap()).unwrap();
        assert_eq!(bytes[base + 0x10..base + 0x13], [1, 2, 0]);
        assert_eq!(bytes[base + 0x1000..], [9; 3]);
        let list32 = u64::from(u32_at(&bytes, 44 + 8).unwrap());
        let rva = u32_at(&bytes, list32 + 4 + 12).unwrap() as usize;
        assert_eq!(bytes[rva..rva + 4], [5; 4]);
    }

    #[test]
    fn file_and_bytes_are_equal() {
        let dump = MinidumpFile::new(2, 7)
            .comment_utf16("two")
            .memory64(vec![MemoryRange::hole(Va(0x10_0000), 0x3000).with(0x2ffe, vec![1, 2])]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dmp");
        dump.write_to(&path).unwrap();
        let mut written = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::open(&path).unwrap(), &mut written).unwrap();
        assert_eq!(written, dump.to_bytes().unwrap());
    }

    #[test]
    fn a_piece_past_its_range_is_refused() {
        let dump = MinidumpFile::default().memory64(vec![MemoryRange::hole(Va(0), 4).with(3, vec![1, 2])]);
        assert!(dump.to_bytes().is_err());
    }
}
