//! One minidump: which streams it has, and each of them as plain records.
//!
//! What a stream does not hold, or holds damaged, is a problem record; the rest of the dump is still used. Only a file of
//! which nothing can be said is an error.
//!
//! **Invariant:** a [`Dump`] does not change after it was opened, and holds no copy of the process's memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::base::file_name;
use crate::base::problems::Problems;
use crate::base::text_lines;

pub mod contexts;
pub mod counters;
pub mod directory;
pub mod error;
pub mod file_kind;
pub mod handles;
mod lists;
pub(super) mod mapping;
pub mod memory;
pub mod memory_info;
pub mod modules;
pub mod stream_kind;
pub mod system;
pub mod threads;

use counters::{ProcessVmCounters, SystemMemoryInfo, TokenRecord};
use directory::{Header, StreamEntry};
use error::DumpError;
use handles::{HandleOperationRecord, HandleRecord};
use lists::Texts;
use mapping::Mapping;
use memory::DumpMemory;
use memory_info::MemoryInfoRecord;
use modules::{ModuleRecord, UnloadedModuleRecord};
use stream_kind::StreamKind;
use system::{ExceptionRecord, MiscInfo, SystemInfo};
use threads::{ThreadInfoRecord, ThreadRecord};

/// Everything that the streams of one dump say. A part is `None` where the dump has no such stream; an empty list means
/// that the stream is there and empty, or that nothing of it could be read (then there is a problem that says so).
#[derive(Debug, Serialize, Deserialize)]
pub struct Dump {
    #[serde(serialize_with = "file_name::serialize")]
    pub path: PathBuf,
    pub file_bytes: u64,
    pub header: Header,
    pub streams: Vec<StreamEntry>,
    pub system: Option<SystemInfo>,
    pub misc: Option<MiscInfo>,
    pub modules: Option<Vec<ModuleRecord>>,
    pub unloaded_modules: Option<Vec<UnloadedModuleRecord>>,
    pub threads: Option<Vec<ThreadRecord>>,
    pub thread_infos: Option<Vec<ThreadInfoRecord>>,
    pub thread_names: BTreeMap<u32, String>,
    pub memory: DumpMemory,
    /// A case capsule keeps that there is one: the map made of it says the same and more.
    #[serde(serialize_with = "presence_alone")]
    pub memory_info: Option<Vec<MemoryInfoRecord>>,
    /// Whether every entry that the memory info list names is in the file: only then do sums over it mean something.
    pub has_whole_memory_info: bool,
    pub handles: Option<Vec<HandleRecord>>,
    #[serde(skip)]
    pub handle_operations: Option<Vec<HandleOperationRecord>>,
    pub vm_counters: Option<ProcessVmCounters>,
    pub system_memory: Option<SystemMemoryInfo>,
    #[serde(skip)]
    pub tokens: Option<Vec<TokenRecord>>,
    #[serde(with = "text_lines")]
    pub comments: Vec<String>,
    pub exception: Option<ExceptionRecord>,
    pub problems: Problems,
    /// Equal for two files with the same head, size and end: copies of one dump.
    #[serde(skip)]
    pub fingerprint: Fingerprint,
}

fn presence_alone<S: Serializer>(list: &Option<Vec<MemoryInfoRecord>>, target: S) -> Result<S::Ok, S::Error> {
    list.as_ref().map(|_| <[MemoryInfoRecord; 0]>::default()).serialize(target)
}

/// Tells copies of one file from different dumps without reading the whole of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fingerprint {
    file_bytes: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// Opens a minidump.
///
/// # Errors
/// When nothing can be said about the file: it cannot be read, is no minidump, is not of Windows, or none of its streams
/// lies in the file.
pub fn open(path: &Path) -> Result<Dump, DumpError> {
    let file = Mapping::open(path).map_err(|source| DumpError::Unreadable { path: path.to_owned(), source })?;
    read(path, file)
}

/// Reads a minidump from bytes in memory, for tests and fuzzing.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(path: &Path, bytes: Vec<u8>) -> Result<Dump, DumpError> {
    read(path, Mapping::Bytes(bytes))
}

fn read(path: &Path, file: Mapping) -> Result<Dump, DumpError> {
    let file = Arc::new(file);
    if file.is_empty() {
        return Err(DumpError::Empty { path: path.to_owned() });
    }
    let Some(header) = directory::read_header(&file) else {
        return Err(DumpError::NotADump { path: path.to_owned(), kind: file_kind::recognise(&file) });
    };
    let mut problems = Problems::default();
    let streams = directory::read_directory(&file, &header, &mut problems);
    if streams.is_empty() {
        return Err(DumpError::NoDirectory {
            path: path.to_owned(),
            offset: header.directory_offset.0,
            available: file.len() as u64,
        });
    }
    let dump = read_streams(path, &file, header, streams, problems);
    if let Some(system) = dump.system.as_ref().and_then(SystemInfo::other_system) {
        return Err(DumpError::NotWindows { path: path.to_owned(), system });
    }
    if describes_nothing(&dump) {
        return Err(DumpError::NothingReadable { path: path.to_owned(), stream_count: dump.streams.len() });
    }
    Ok(dump)
}

/// Whether a file has the head of a minidump and nothing of a process.
fn describes_nothing(dump: &Dump) -> bool {
    fn is_empty<T>(list: Option<&Vec<T>>) -> bool {
        list.is_none_or(Vec::is_empty)
    }
    dump.system.is_none()
        && is_empty(dump.modules.as_ref())
        && is_empty(dump.threads.as_ref())
        && is_empty(dump.memory_info.as_ref())
        && dump.memory.ranges().is_empty()
}

fn read_streams(
    path: &Path,
    file: &Arc<Mapping>,
    header: Header,
    streams: Vec<StreamEntry>,
    mut problems: Problems,
) -> Dump {
    let texts = Texts::new(file);
    let reader = StreamReader { file, streams: &streams };
    let p = &mut problems;
    let system = reader.bytes(StreamKind::SYSTEM_INFO, p).and_then(|s| system::read_system_info(s, &texts, p));
    let misc = reader.bytes(StreamKind::MISC_INFO, p).and_then(|s| system::read_misc_info(s, p));
    let modules = reader.bytes(StreamKind::MODULE_LIST, p).map(|s| modules::read_modules(s, &texts, p));
    let unloaded_modules =
        reader.bytes(StreamKind::UNLOADED_MODULE_LIST, p).map(|s| modules::read_unloaded_modules(s, &texts, p));
    let threads = match reader.bytes(StreamKind::THREAD_LIST, p) {
        Some(stream) => Some(threads::read_threads(stream, p)),
        None => reader.bytes(StreamKind::THREAD_EX_LIST, p).map(|s| threads::read_threads_ex(s, p)),
    };
    let thread_infos = reader.bytes(StreamKind::THREAD_INFO_LIST, p).map(|s| threads::read_thread_infos(s, p));
    let thread_names =
        reader.bytes(StreamKind::THREAD_NAMES, p).map(|s| threads::read_thread_names(s, &texts, p)).unwrap_or_default();
    let memory = DumpMemory::new(Arc::clone(file), reader.memory_ranges(p));
    let memory_info = reader.bytes(StreamKind::MEMORY_INFO_LIST, p).map(|s| memory_info::read_memory_info(s, p));
    let has_whole_memory_info = memory_info.as_ref().is_some_and(|list| list.is_whole);
    let handles = reader.bytes(StreamKind::HANDLE_DATA, p).map(|s| handles::read_handles(s, &texts, p));
    let handle_operations =
        reader.bytes(StreamKind::HANDLE_OPERATION_LIST, p).map(|s| handles::read_handle_operations(s, p));
    let vm_counters =
        reader.bytes(StreamKind::PROCESS_VM_COUNTERS, p).and_then(|s| counters::read_process_vm_counters(s, p));
    let system_memory =
        reader.bytes(StreamKind::SYSTEM_MEMORY_INFO, p).and_then(|s| counters::read_system_memory_info(s, p));
    let tokens = reader.bytes(StreamKind::TOKEN, p).map(|s| counters::read_tokens(s, p));
    let exception = reader.bytes(StreamKind::EXCEPTION, p).and_then(|s| system::read_exception(s, p));
    let comments = [StreamKind::COMMENT_A, StreamKind::COMMENT_W]
        .into_iter()
        .filter_map(|kind| system::read_comment(reader.bytes(kind, p)?, kind))
        .collect();
    note_missing_streams(&streams, &mut problems);
    Dump {
        path: path.to_owned(),
        file_bytes: file.len() as u64,
        fingerprint: fingerprint(file),
        header,
        streams,
        system,
        misc,
        modules,
        unloaded_modules,
        threads,
        thread_infos,
        thread_names,
        memory,
        memory_info: memory_info.map(|list| list.records),
        has_whole_memory_info,
        handles,
        handle_operations,
        vm_counters,
        system_memory,
        tokens,
        comments,
        exception,
        problems,
    }
}

#[derive(Clone, Copy)]
struct StreamReader<'a> {
    file: &'a [u8],
    streams: &'a [StreamEntry],
}

impl<'a> StreamReader<'a> {
    fn bytes(&self, kind: StreamKind, problems: &mut Problems) -> Option<&'a [u8]> {
        directory::stream_bytes(self.file, self.streams, kind, problems)
    }

    /// Ranges of both memory lists. A dump with a 64-bit list may have a 32-bit one for the stacks besides.
    fn memory_ranges(&self, problems: &mut Problems) -> memory::ListedMemory {
        let mut listed = self
            .bytes(StreamKind::MEMORY64_LIST, problems)
            .map(|stream| memory::read_memory64_list(stream, self.file, problems))
            .unwrap_or_default();
        if let Some(stream) = self.bytes(StreamKind::MEMORY_LIST, problems) {
            let narrow = memory::read_memory_list(stream, self.file, problems);
            listed.ranges.extend(narrow.ranges);
            listed.cut_off_bytes = listed.cut_off_bytes.saturating_add(narrow.cut_off_bytes);
        }
        listed
    }
}

/// Streams whose lack changes what can be said, and what it is that cannot.
const WANTED_STREAMS: [(StreamKind, &str); 6] = [
    (StreamKind::SYSTEM_INFO, "the Windows version and bitness are not known"),
    (StreamKind::MODULE_LIST, "images have no names"),
    (StreamKind::THREAD_LIST, "stacks and TEBs are not known"),
    (StreamKind::MEMORY_INFO_LIST, "the map of the address space is partial; take dumps with: procdump -ma"),
    (StreamKind::THREAD_INFO_LIST, "CPU times of threads are not known; take dumps with: procdump -ma"),
    (StreamKind::MISC_INFO, "process id and process times are not known"),
];

fn note_missing_streams(streams: &[StreamEntry], problems: &mut Problems) {
    let has = |kind: StreamKind| streams.iter().any(|entry| entry.kind == kind);
    for (kind, effect) in WANTED_STREAMS {
        let has_substitute = kind == StreamKind::THREAD_LIST && has(StreamKind::THREAD_EX_LIST);
        if !has(kind) && !has_substitute {
            problems.missing(kind.to_string(), format!("is not in the dump: {effect}"));
        }
    }
    if !has(StreamKind::MEMORY64_LIST) && !has(StreamKind::MEMORY_LIST) {
        problems.missing(StreamKind::MEMORY64_LIST.to_string(), "is not in the dump: no memory can be read");
    }
}

fn fingerprint(file: &[u8]) -> Fingerprint {
    const PART_BYTES: u64 = 4096;
    let file_bytes = file.len() as u64;
    let part = |offset| crate::base::bytes::available_at(file, offset, PART_BYTES).to_vec();
    Fingerprint { file_bytes, head: part(0), tail: part(file_bytes.saturating_sub(PART_BYTES)) }
}
