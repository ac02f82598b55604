//! Handles and handle operations. Layouts: minidumpapiset.h, MINIDUMP_HANDLE_DESCRIPTOR (32 bytes), its second version
//! (40), and AVRF_HANDLE_OPERATION (288).

use serde::{Deserialize, Serialize};

use crate::base::bytes;
use crate::base::problems::Problems;

use super::lists::{ListShape, Texts, sized_list};
use super::stream_kind::StreamKind;

/// The kernel's own limit is 16 million handles a process; a dump with more than this many is not one of ours.
const MAX_HANDLES: u64 = 1 << 20;

/// One open handle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HandleRecord {
    pub handle: u64,
    pub type_name: Option<String>,
    /// Of a file, its whole path: not in a case capsule.
    #[serde(skip)]
    pub object_name: Option<String>,
    pub attributes: u32,
    pub granted_access: u32,
    pub handle_count: u32,
    pub pointer_count: u32,
}

/// One open, close or failed use of a handle, recorded by application verifier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandleOperationRecord {
    pub handle: u64,
    pub pid: u32,
    pub tid: u32,
    /// OperationDbOPEN 1, OperationDbCLOSE 2, OperationDbBADREF 3 of avrfsdk.h.
    pub operation: u32,
    /// How many return addresses the record holds; the traces themselves stay in the file.
    pub depth: u32,
}

pub fn read_handles(stream: &[u8], texts: &Texts<'_>, problems: &mut Problems) -> Vec<HandleRecord> {
    let shape = ListShape { kind: StreamKind::HANDLE_DATA, entry_bytes: 32, max_entries: MAX_HANDLES };
    let list = sized_list(stream, shape, problems);
    list.iter()
        .filter_map(|entry| {
            Some(HandleRecord {
                handle: bytes::u64_at(entry, 0)?,
                type_name: texts.string_at(u64::from(bytes::u32_at(entry, 8)?)),
                object_name: texts.string_at(u64::from(bytes::u32_at(entry, 0xc)?)),
                attributes: bytes::u32_at(entry, 0x10)?,
                granted_access: bytes::u32_at(entry, 0x14)?,
                handle_count: bytes::u32_at(entry, 0x18)?,
                pointer_count: bytes::u32_at(entry, 0x1c)?,
            })
        })
        .collect()
}

pub fn read_handle_operations(stream: &[u8], problems: &mut Problems) -> Vec<HandleOperationRecord> {
    let shape = ListShape { kind: StreamKind::HANDLE_OPERATION_LIST, entry_bytes: 32, max_entries: MAX_HANDLES };
    let list = sized_list(stream, shape, problems);
    list.iter()
        .filter_map(|entry| {
            Some(HandleOperationRecord {
                handle: bytes::u64_at(entry, 0)?,
                pid: bytes::u32_at(entry, 8)?,
                tid: bytes::u32_at(entry, 0xc)?,
                operation: bytes::u32_at(entry, 0x10)?,
                depth: bytes::u32_at(entry, 0x18)?,
            })
        })
        .collect()
}
