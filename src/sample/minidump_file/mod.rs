//! A general writer of minidump files: add streams in any order, then take the bytes or write a (sparse) file.
//!
//! Written from Microsoft's public documentation of minidumpapiset.h, apart from the reader, so that both cannot share one
//! mistake. It writes what it is told, sensible or not: tests build odd and damaged dumps with it.

mod encode;
mod encode_lists;
mod encode_process;
mod file_layout;
mod process_records;
mod records;

pub use process_records::{
    BuildText, MiscInfo, ProcessTimes, ProcessVmCounters, ProcessVmCounters2, SystemMemoryInfo, TimeZone,
};
pub use records::{
    Exception, Handle, HandleFormat, HandleObjectInfo, HandleOperation, MemoryInfo, MemoryRange, Module, Piece,
    StackMemory, SystemInfo, Thread, ThreadEx, ThreadInfo, ThreadName, Token, UnloadedModule, rsds_record,
};

/// MINIDUMP_TYPE bits that this crate's samples use.
pub mod flags {
    pub const WITH_FULL_MEMORY: u64 = 0x2;
    pub const WITH_HANDLE_DATA: u64 = 0x4;
    pub const WITH_UNLOADED_MODULES: u64 = 0x20;
    pub const WITH_FULL_MEMORY_INFO: u64 = 0x800;
    pub const WITH_THREAD_INFO: u64 = 0x1000;
}

/// A minidump in the making. `MinidumpFile::default()` is a valid dump with no streams.
#[derive(Clone, Debug, Default)]
pub struct MinidumpFile {
    /// MINIDUMP_TYPE bits.
    pub flags: u64,
    /// The time stamp of the header, in seconds since 1970 UTC.
    pub time_unix_seconds: u32,
    /// Begins the memory at a whole page of the file, so that a page with little on it takes one block of the disk, not two.
    is_page_aligned: bool,
    streams: Vec<StreamEntry>,
}

/// Makes the headers or the entries of a list larger than this version of the format has them, as a later one might.
/// Lists that carry no sizes of their own (threads, modules, memory) ignore it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListShape {
    pub extra_header_bytes: u32,
    pub extra_entry_bytes: u32,
}

#[derive(Clone, Debug)]
struct StreamEntry {
    content: StreamContent,
    shape: ListShape,
}

#[derive(Clone, Debug)]
enum StreamContent {
    SystemInfo(Box<SystemInfo>),
    Modules(Vec<Module>),
    UnloadedModules(Vec<UnloadedModule>),
    Threads(Vec<Thread>),
    ThreadsEx(Vec<ThreadEx>),
    ThreadInfos(Vec<ThreadInfo>),
    ThreadNames(Vec<ThreadName>),
    Memory(Vec<MemoryRange>),
    Memory64(Vec<MemoryRange>),
    MemoryInfos(Vec<MemoryInfo>),
    Handles(HandleFormat, Vec<Handle>),
    HandleOperations(Vec<HandleOperation>),
    MiscInfo(Box<MiscInfo>),
    VmCounters(Box<ProcessVmCounters>),
    SystemMemory(Box<SystemMemoryInfo>),
    Exception(Box<Exception>),
    CommentA(String),
    CommentW(String),
    Tokens(Vec<Token>),
    Raw { stream_type: u32, bytes: Vec<u8> },
}

impl StreamContent {
    /// MINIDUMP_STREAM_TYPE.
    fn stream_type(&self) -> u32 {
        match self {
            Self::Threads(_) => 3,
            Self::Modules(_) => 4,
            Self::Memory(_) => 5,
            Self::Exception(_) => 6,
            Self::SystemInfo(_) => 7,
            Self::ThreadsEx(_) => 8,
            Self::Memory64(_) => 9,
            Self::CommentA(_) => 10,
            Self::CommentW(_) => 11,
            Self::Handles(..) => 12,
            Self::UnloadedModules(_) => 14,
            Self::MiscInfo(_) => 15,
            Self::MemoryInfos(_) => 16,
            Self::ThreadInfos(_) => 17,
            Self::HandleOperations(_) => 18,
            Self::Tokens(_) => 19,
            Self::SystemMemory(_) => 21,
            Self::VmCounters(_) => 22,
            Self::ThreadNames(_) => 24,
            Self::Raw { stream_type, .. } => *stream_type,
        }
    }
}

/// One method a stream. The directory lists them in the order of the calls.
impl MinidumpFile {
    pub fn new(flags: u64, time_unix_seconds: u32) -> Self {
        Self { flags, time_unix_seconds, is_page_aligned: false, streams: Vec::new() }
    }

    #[must_use]
    fn with_stream(mut self, content: StreamContent) -> Self {
        self.streams.push(StreamEntry { content, shape: ListShape::default() });
        self
    }

    /// Gives the stream added last an odd shape.
    #[must_use]
    pub fn with_shape(mut self, shape: ListShape) -> Self {
        if let Some(last) = self.streams.last_mut() {
            last.shape = shape;
        }
        self
    }

    #[must_use]
    pub fn system_info(self, info: SystemInfo) -> Self {
        self.with_stream(StreamContent::SystemInfo(Box::new(info)))
    }

    #[must_use]
    pub fn modules(self, modules: Vec<Module>) -> Self {
        self.with_stream(StreamContent::Modules(modules))
    }

    #[must_use]
    pub fn unloaded_modules(self, modules: Vec<UnloadedModule>) -> Self {
        self.with_stream(StreamContent::UnloadedModules(modules))
    }

    #[must_use]
    pub fn threads(self, threads: Vec<Thread>) -> Self {
        self.with_stream(StreamContent::Threads(threads))
    }

    #[must_use]
    pub fn threads_ex(self, threads: Vec<ThreadEx>) -> Self {
        self.with_stream(StreamContent::ThreadsEx(threads))
    }

    #[must_use]
    pub fn thread_infos(self, infos: Vec<ThreadInfo>) -> Self {
        self.with_stream(StreamContent::ThreadInfos(infos))
    }

    #[must_use]
    pub fn thread_names(self, names: Vec<ThreadName>) -> Self {
        self.with_stream(StreamContent::ThreadNames(names))
    }

    /// MemoryListStream: 32-bit sizes and positions, the bytes follow the streams.
    #[must_use]
    pub fn memory(self, ranges: Vec<MemoryRange>) -> Self {
        self.with_stream(StreamContent::Memory(ranges))
    }

    /// Begins the 64-bit list's memory at a whole page of the file.
    #[must_use]
    pub const fn page_aligned(mut self) -> Self {
        self.is_page_aligned = true;
        self
    }

    /// Memory64ListStream: the bytes are the end of the file.
    #[must_use]
    pub fn memory64(self, ranges: Vec<MemoryRange>) -> Self {
        self.with_stream(StreamContent::Memory64(ranges))
    }

    #[must_use]
    pub fn memory_infos(self, infos: Vec<MemoryInfo>) -> Self {
        self.with_stream(StreamContent::MemoryInfos(infos))
    }

    #[must_use]
    pub fn handles(self, format: HandleFormat, handles: Vec<Handle>) -> Self {
        self.with_stream(StreamContent::Handles(format, handles))
    }

    #[must_use]
    pub fn handle_operations(self, operations: Vec<HandleOperation>) -> Self {
        self.with_stream(StreamContent::HandleOperations(operations))
    }

    #[must_use]
    pub fn misc_info(self, info: MiscInfo) -> Self {
        self.with_stream(StreamContent::MiscInfo(Box::new(info)))
    }

    #[must_use]
    pub fn vm_counters(self, counters: ProcessVmCounters) -> Self {
        self.with_stream(StreamContent::VmCounters(Box::new(counters)))
    }

    #[must_use]
    pub fn system_memory(self, info: SystemMemoryInfo) -> Self {
        self.with_stream(StreamContent::SystemMemory(Box::new(info)))
    }

    #[must_use]
    pub fn exception(self, exception: Exception) -> Self {
        self.with_stream(StreamContent::Exception(Box::new(exception)))
    }

    /// CommentStreamA: bytes of the text, then a NUL.
    #[must_use]
    pub fn comment_ansi(self, text: impl Into<String>) -> Self {
        self.with_stream(StreamContent::CommentA(text.into()))
    }

    /// CommentStreamW: UTF-16 of the text, then a NUL.
    #[must_use]
    pub fn comment_utf16(self, text: impl Into<String>) -> Self {
        self.with_stream(StreamContent::CommentW(text.into()))
    }

    #[must_use]
    pub fn tokens(self, tokens: Vec<Token>) -> Self {
        self.with_stream(StreamContent::Tokens(tokens))
    }

    /// Any stream, byte for byte.
    #[must_use]
    pub fn raw_stream(self, stream_type: u32, bytes: Vec<u8>) -> Self {
        self.with_stream(StreamContent::Raw { stream_type, bytes })
    }
}
