//! Turns the streams into the bytes before the memory contents: header, directory, streams, what they point to.
//!
//! Layouts: minidumpapiset.h as documented by Microsoft; all structures are packed to 4 bytes.

use super::{MinidumpFile, StackMemory, StreamContent, StreamEntry};
use crate::sample::error::SampleError;
use crate::sample::le_bytes::{LeBytes, utf16_bytes};

const HEADER_BYTES: usize = 32;
const DIRECTORY_ENTRY_BYTES: usize = 12;

/// A place in the file that must hold a file position once the memory contents have found theirs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deferred {
    /// The descriptors of the memory list in stream `stream_index`: 16 bytes each, the RVA in the last 4.
    MemoryList { stream_index: usize, first_descriptor_at: usize },
    /// The 64-bit BaseRva of the memory64 list in stream `stream_index`.
    Memory64List { stream_index: usize, base_rva_at: usize },
}

/// Everything of the file but the memory contents.
pub(super) struct Head {
    pub bytes: LeBytes,
    pub deferred: Vec<Deferred>,
}

impl Head {
    /// The position of the next byte, as a 32-bit RVA. Too large a head is found when it is complete.
    pub fn rva(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Puts a MINIDUMP_STRING at the end (length in bytes without the NUL) and returns its position.
    pub fn add_string(&mut self, text: &str) -> u32 {
        let units = utf16_bytes(text);
        let rva = self.rva();
        self.bytes.push_u32(len_u32(units.len())).push(&units).push_u16(0);
        rva
    }

    /// Puts a blob at the end and returns its MINIDUMP_LOCATION_DESCRIPTOR: size, position. Nothing for no bytes.
    pub fn add_blob(&mut self, blob: &[u8]) -> (u32, u32) {
        if blob.is_empty() {
            return (0, 0);
        }
        let rva = self.rva();
        self.bytes.push(blob);
        (len_u32(blob.len()), rva)
    }

    /// Puts the bytes of a stack at the end and returns its MINIDUMP_MEMORY_DESCRIPTOR: start, size, position.
    pub fn add_stack(&mut self, stack: &StackMemory) -> (u64, u32, u32) {
        match stack {
            StackMemory::None => (0, 0, 0),
            StackMemory::InMemoryList { start, size_bytes } => (start.0, *size_bytes, 0),
            StackMemory::Inline { start, bytes } => {
                let (size, rva) = self.add_blob(bytes);
                (start.0, size, rva)
            }
        }
    }
}

/// A length or count in the 32 bits that the format has for it.
pub(super) fn len_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Encodes header, directory and streams of `file`.
pub(super) fn encode_head(file: &MinidumpFile) -> Result<Head, SampleError> {
    let stream_count = file.streams.len();
    let mut bytes = LeBytes::zeroed(HEADER_BYTES + stream_count * DIRECTORY_ENTRY_BYTES);
    // MINIDUMP_HEADER: the version's upper half is free for the writer; dbghelp of Windows 7 leaves such a number there.
    bytes.put(0, b"MDMP").put_u32(4, 0x61b1_a793).put_u32(8, len_u32(stream_count)).put_u32(12, len_u32(HEADER_BYTES));
    bytes.put_u32(20, file.time_unix_seconds).put_u64(24, file.flags);
    let mut head = Head { bytes, deferred: Vec::new() };
    for (index, stream) in file.streams.iter().enumerate() {
        let (size, rva) = encode_stream(&mut head, index, stream);
        let at = HEADER_BYTES + index * DIRECTORY_ENTRY_BYTES;
        head.bytes.put_u32(at, stream.content.stream_type()).put_u32(at + 4, size).put_u32(at + 8, rva);
    }
    let needed_bytes = head.bytes.len() as u64;
    if u32::try_from(needed_bytes).is_err() {
        let what = "the part of a minidump before its memory contents".to_owned();
        return Err(SampleError::DoesNotFit { what, needed_bytes, available_bytes: u64::from(u32::MAX) });
    }
    Ok(head)
}

/// Returns the size and position for the directory. The size counts the stream itself, not what it points to.
fn encode_stream(head: &mut Head, stream_index: usize, stream: &StreamEntry) -> (u32, u32) {
    use super::{encode_lists as lists, encode_process as process};
    let shape = stream.shape;
    match &stream.content {
        StreamContent::SystemInfo(info) => process::system_info(head, info),
        StreamContent::MiscInfo(info) => process::misc_info(head, info),
        StreamContent::VmCounters(counters) => process::vm_counters(head, counters),
        StreamContent::SystemMemory(info) => process::system_memory(head, info),
        StreamContent::Exception(exception) => process::exception(head, exception),
        StreamContent::Modules(modules) => lists::modules(head, modules),
        StreamContent::UnloadedModules(modules) => lists::unloaded_modules(head, shape, modules),
        StreamContent::Threads(threads) => lists::threads(head, threads),
        StreamContent::ThreadsEx(threads) => lists::threads_ex(head, threads),
        StreamContent::ThreadInfos(infos) => lists::thread_infos(head, shape, infos),
        StreamContent::ThreadNames(names) => lists::thread_names(head, names),
        StreamContent::MemoryInfos(infos) => lists::memory_infos(head, shape, infos),
        StreamContent::Handles(format, handles) => lists::handles(head, shape, *format, handles),
        StreamContent::HandleOperations(operations) => lists::handle_operations(head, shape, operations),
        StreamContent::Tokens(tokens) => lists::tokens(head, tokens),
        StreamContent::CommentA(text) => head.add_blob(&[text.as_bytes(), &[0]].concat()),
        StreamContent::CommentW(text) => head.add_blob(&[utf16_bytes(text), vec![0, 0]].concat()),
        StreamContent::Raw { bytes, .. } => head.add_blob(bytes),
        StreamContent::Memory(ranges) => {
            let mut list = LeBytes::default();
            list.push_u32(len_u32(ranges.len()));
            for range in ranges {
                list.push_va(range.start).push_u32(u32::try_from(range.size_bytes).unwrap_or(u32::MAX)).push_u32(0);
            }
            let (size, rva) = head.add_blob(list.as_slice());
            let first_descriptor_at = rva as usize + 4;
            head.deferred.push(Deferred::MemoryList { stream_index, first_descriptor_at });
            (size, rva)
        }
        StreamContent::Memory64(ranges) => {
            let mut list = LeBytes::default();
            list.push_u64(ranges.len() as u64).push_u64(0);
            for range in ranges {
                list.push_va(range.start).push_u64(range.size_bytes);
            }
            let (size, rva) = head.add_blob(list.as_slice());
            head.deferred.push(Deferred::Memory64List { stream_index, base_rva_at: rva as usize + 8 });
            (size, rva)
        }
    }
}
