//! What the streams of a minidump hold, as plain records.
//!
//! Every record has a `Default`, so that a test names only the fields that matter to it. Strings are written as
//! MINIDUMP_STRING (UTF-16 with a length) by the encoder.

use crate::base::addr::Va;

/// MINIDUMP_SYSTEM_INFO.
#[derive(Clone, Debug, Default)]
pub struct SystemInfo {
    /// One of the `ARCHITECTURE_` numbers.
    pub processor_architecture: u16,
    pub processor_level: u16,
    pub processor_revision: u16,
    pub processor_count: u8,
    /// 1 workstation, 2 domain controller, 3 server.
    pub product_type: u8,
    pub major_version: u32,
    pub minor_version: u32,
    pub build_number: u32,
    /// 2 for Windows NT and later.
    pub platform_id: u32,
    pub service_pack: String,
    pub suite_mask: u16,
    pub cpu_info: [u8; 24],
}

impl SystemInfo {
    pub const ARCHITECTURE_X86: u16 = 0;
    pub const ARCHITECTURE_AMD64: u16 = 9;
    pub const ARCHITECTURE_ARM64: u16 = 12;
}

/// MINIDUMP_MODULE with what it points to.
#[derive(Clone, Debug, Default)]
pub struct Module {
    pub base: Va,
    pub size_bytes: u32,
    pub checksum: u32,
    pub time_date_stamp: u32,
    pub path: String,
    /// File and product version (`major.minor.build.revision`); `None` leaves VS_FIXEDFILEINFO zero.
    pub version: Option<[u16; 4]>,
    /// The CodeView record, whole; empty for none. See [`rsds_record`].
    pub code_view: Vec<u8>,
}

/// A CodeView record of kind RSDS, as the debug directory and the module list hold it.
pub fn rsds_record(guid: [u8; 16], age: u32, pdb_name: &str) -> Vec<u8> {
    let mut record = b"RSDS".to_vec();
    record.extend_from_slice(&guid);
    record.extend_from_slice(&age.to_le_bytes());
    record.extend_from_slice(pdb_name.as_bytes());
    record.push(0);
    record
}

/// MINIDUMP_UNLOADED_MODULE.
#[derive(Clone, Debug, Default)]
pub struct UnloadedModule {
    pub base: Va,
    pub size_bytes: u32,
    pub checksum: u32,
    pub time_date_stamp: u32,
    pub name: String,
}

/// MINIDUMP_THREAD.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    pub id: u32,
    pub suspend_count: u32,
    pub priority_class: u32,
    pub priority: u32,
    pub teb: Va,
    pub stack: StackMemory,
    /// The CPU context record, whole; empty for none.
    pub context: Vec<u8>,
}

/// Where the bytes of a thread's stack are.
#[derive(Clone, Debug, Default)]
pub enum StackMemory {
    #[default]
    None,
    /// In one of the memory lists: the descriptor's RVA is 0, as dbghelp writes it into dumps with full memory.
    InMemoryList { start: Va, size_bytes: u32 },
    /// Beside the thread.
    Inline { start: Va, bytes: Vec<u8> },
}

/// MINIDUMP_THREAD_EX: a thread with a register backing store (Itanium).
#[derive(Clone, Debug, Default)]
pub struct ThreadEx {
    pub thread: Thread,
    pub backing_store: StackMemory,
}

/// MINIDUMP_THREAD_INFO. Times as Windows holds them: points in 100 ns since 1601, spans in 100 ns.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadInfo {
    pub thread_id: u32,
    pub dump_flags: u32,
    pub dump_error: u32,
    pub exit_status: u32,
    pub create_filetime: u64,
    pub exit_filetime: u64,
    pub kernel_100ns: u64,
    pub user_100ns: u64,
    pub start_address: Va,
    pub affinity: u64,
}

/// MINIDUMP_THREAD_NAME.
#[derive(Clone, Debug, Default)]
pub struct ThreadName {
    pub thread_id: u32,
    pub name: String,
}

/// Some bytes of a memory range; the rest of the range is a hole.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    pub offset_bytes: u64,
    pub bytes: Vec<u8>,
}

/// Memory of the process that the dump holds. Later pieces win where two overlap; a piece must end within the range.
#[derive(Clone, Debug, Default)]
pub struct MemoryRange {
    pub start: Va,
    pub size_bytes: u64,
    pub pieces: Vec<Piece>,
}

impl MemoryRange {
    /// Zeros that take no room on the disk.
    pub fn hole(start: Va, size_bytes: u64) -> Self {
        Self { start, size_bytes, pieces: Vec::new() }
    }

    /// Exactly `bytes`.
    pub fn of_bytes(start: Va, bytes: Vec<u8>) -> Self {
        Self { start, size_bytes: bytes.len() as u64, pieces: vec![Piece { offset_bytes: 0, bytes }] }
    }

    /// The same range with `bytes` at `offset_bytes`.
    #[must_use]
    pub fn with(mut self, offset_bytes: u64, bytes: Vec<u8>) -> Self {
        self.pieces.push(Piece { offset_bytes, bytes });
        self
    }
}

/// MINIDUMP_MEMORY_INFO: one region as VirtualQueryEx tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryInfo {
    pub base: Va,
    pub allocation_base: Va,
    pub allocation_protect: u32,
    pub size_bytes: u64,
    pub state: u32,
    pub protect: u32,
    pub kind: u32,
}

/// MINIDUMP_HANDLE_DESCRIPTOR or MINIDUMP_HANDLE_DESCRIPTOR_2.
#[derive(Clone, Debug, Default)]
pub struct Handle {
    pub value: u64,
    pub type_name: Option<String>,
    pub object_name: Option<String>,
    pub attributes: u32,
    pub granted_access: u32,
    pub handle_count: u32,
    pub pointer_count: u32,
    /// Only version 2 has them.
    pub object_infos: Vec<HandleObjectInfo>,
}

/// MINIDUMP_HANDLE_OBJECT_INFORMATION: one link of a handle's chain.
#[derive(Clone, Debug, Default)]
pub struct HandleObjectInfo {
    pub info_type: u32,
    pub bytes: Vec<u8>,
}

/// Which descriptor the handle data stream uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandleFormat {
    V1,
    #[default]
    V2,
}

/// AVRF_HANDLE_OPERATION: one entry of the handle operation list.
#[derive(Clone, Debug, Default)]
pub struct HandleOperation {
    pub handle: u64,
    pub process_id: u32,
    pub thread_id: u32,
    /// 1 open, 2 close, 3 bad reference.
    pub operation: u32,
    pub trace_index: u32,
    /// At most 32 are written.
    pub return_addresses: Vec<Va>,
}

/// MINIDUMP_EXCEPTION_STREAM.
#[derive(Clone, Debug, Default)]
pub struct Exception {
    pub thread_id: u32,
    pub code: u32,
    pub flags: u32,
    pub nested_record: Va,
    pub address: Va,
    /// At most 15 are written.
    pub parameters: Vec<u64>,
    pub context: Vec<u8>,
}

/// MINIDUMP_TOKEN_INFO_HEADER with its data.
#[derive(Clone, Debug, Default)]
pub struct Token {
    pub id: u32,
    pub handle: u64,
    pub bytes: Vec<u8>,
}
