//! The streams that are lists: modules, threads, regions, handles, tokens.
//!
//! A list is written whole before what its entries point to, so each entry is reserved first and then filled.

use super::encode::{Head, len_u32};
use super::{
    Handle, HandleFormat, HandleOperation, ListShape, MemoryInfo, Module, Thread, ThreadEx, ThreadInfo, ThreadName,
    Token, UnloadedModule,
};
use crate::sample::le_bytes::LeBytes;

type SizeAndRva = (u32, u32);

/// A list whose entries are patched in after it was reserved.
struct Reserved {
    rva: u32,
    size_bytes: u32,
    first_entry_at: usize,
    entry_bytes: usize,
}

impl Reserved {
    fn entry_at(&self, index: usize) -> usize {
        self.first_entry_at + index * self.entry_bytes
    }

    fn location(&self) -> SizeAndRva {
        (self.size_bytes, self.rva)
    }
}

fn reserve(head: &mut Head, header: &[u8], entry_bytes: usize, count: usize) -> Reserved {
    let rva = head.rva();
    head.bytes.push(header);
    let first_entry_at = head.bytes.len();
    head.bytes.push_zeros(entry_bytes * count);
    Reserved { rva, size_bytes: len_u32(header.len() + entry_bytes * count), first_entry_at, entry_bytes }
}

/// A list that begins with its count alone.
fn reserve_counted(head: &mut Head, entry_bytes: usize, count: usize) -> Reserved {
    reserve(head, &len_u32(count).to_le_bytes(), entry_bytes, count)
}

/// A list that begins with SizeOfHeader, SizeOfEntry and a count; `header_bytes` tells how wide the count is.
fn reserve_shaped(head: &mut Head, shape: ListShape, header_bytes: u32, entry_bytes: u32, count: usize) -> Reserved {
    let (header_size, entry_size) = (header_bytes + shape.extra_header_bytes, entry_bytes + shape.extra_entry_bytes);
    let mut header = LeBytes::zeroed(header_size as usize);
    header.put_u32(0, header_size).put_u32(4, entry_size).put_u32(8, len_u32(count));
    reserve(head, header.as_slice(), entry_size as usize, count)
}

/// MINIDUMP_MODULE, 108 bytes.
pub(super) fn modules(head: &mut Head, modules: &[Module]) -> SizeAndRva {
    let list = reserve_counted(head, 108, modules.len());
    for (index, module) in modules.iter().enumerate() {
        let at = list.entry_at(index);
        let name_rva = head.add_string(&module.path);
        let (code_view_size, code_view_rva) = head.add_blob(&module.code_view);
        let entry = &mut head.bytes;
        entry.put_va(at, module.base).put_u32(at + 8, module.size_bytes).put_u32(at + 0xc, module.checksum);
        entry.put_u32(at + 0x10, module.time_date_stamp).put_u32(at + 0x14, name_rva);
        if let Some([major, minor, build, revision]) = module.version {
            let high = u32::from(major) << 16 | u32::from(minor);
            let low = u32::from(build) << 16 | u32::from(revision);
            // VS_FIXEDFILEINFO: signature, structure version, file and product version, flags mask, flags, OS, type.
            let fixed = [0xfeef_04bd, 0x0001_0000, high, low, high, low, 0x3f, 0, 0x0004_0004, 2];
            for (field, value) in fixed.into_iter().enumerate() {
                entry.put_u32(at + 0x18 + field * 4, value);
            }
        }
        entry.put_u32(at + 0x4c, code_view_size).put_u32(at + 0x50, code_view_rva);
    }
    list.location()
}

/// MINIDUMP_UNLOADED_MODULE, 24 bytes.
pub(super) fn unloaded_modules(head: &mut Head, shape: ListShape, modules: &[UnloadedModule]) -> SizeAndRva {
    let list = reserve_shaped(head, shape, 12, 24, modules.len());
    for (index, module) in modules.iter().enumerate() {
        let at = list.entry_at(index);
        let name_rva = head.add_string(&module.name);
        let entry = &mut head.bytes;
        entry.put_va(at, module.base).put_u32(at + 8, module.size_bytes).put_u32(at + 0xc, module.checksum);
        entry.put_u32(at + 0x10, module.time_date_stamp).put_u32(at + 0x14, name_rva);
    }
    list.location()
}

fn put_thread(head: &mut Head, at: usize, thread: &Thread) {
    let (stack_start, stack_size, stack_rva) = head.add_stack(&thread.stack);
    let (context_size, context_rva) = head.add_blob(&thread.context);
    let entry = &mut head.bytes;
    entry.put_u32(at, thread.id).put_u32(at + 4, thread.suspend_count).put_u32(at + 8, thread.priority_class);
    entry.put_u32(at + 0xc, thread.priority).put_va(at + 0x10, thread.teb);
    entry.put_u64(at + 0x18, stack_start).put_u32(at + 0x20, stack_size).put_u32(at + 0x24, stack_rva);
    entry.put_u32(at + 0x28, context_size).put_u32(at + 0x2c, context_rva);
}

/// MINIDUMP_THREAD, 48 bytes.
pub(super) fn threads(head: &mut Head, threads: &[Thread]) -> SizeAndRva {
    let list = reserve_counted(head, 48, threads.len());
    for (index, thread) in threads.iter().enumerate() {
        put_thread(head, list.entry_at(index), thread);
    }
    list.location()
}

/// MINIDUMP_THREAD_EX, 64 bytes: a MINIDUMP_THREAD and the descriptor of the backing store.
pub(super) fn threads_ex(head: &mut Head, threads: &[ThreadEx]) -> SizeAndRva {
    let list = reserve_counted(head, 64, threads.len());
    for (index, thread) in threads.iter().enumerate() {
        let at = list.entry_at(index);
        put_thread(head, at, &thread.thread);
        let (start, size, rva) = head.add_stack(&thread.backing_store);
        head.bytes.put_u64(at + 0x30, start).put_u32(at + 0x38, size).put_u32(at + 0x3c, rva);
    }
    list.location()
}

/// MINIDUMP_THREAD_INFO, 64 bytes.
pub(super) fn thread_infos(head: &mut Head, shape: ListShape, infos: &[ThreadInfo]) -> SizeAndRva {
    let list = reserve_shaped(head, shape, 12, 64, infos.len());
    for (index, info) in infos.iter().enumerate() {
        let (at, entry) = (list.entry_at(index), &mut head.bytes);
        entry.put_u32(at, info.thread_id).put_u32(at + 4, info.dump_flags).put_u32(at + 8, info.dump_error);
        entry.put_u32(at + 0xc, info.exit_status).put_u64(at + 0x10, info.create_filetime);
        entry.put_u64(at + 0x18, info.exit_filetime).put_u64(at + 0x20, info.kernel_100ns);
        entry.put_u64(at + 0x28, info.user_100ns).put_va(at + 0x30, info.start_address);
        entry.put_u64(at + 0x38, info.affinity);
    }
    list.location()
}

/// MINIDUMP_THREAD_NAME, 12 bytes: the 64-bit position is not aligned.
pub(super) fn thread_names(head: &mut Head, names: &[ThreadName]) -> SizeAndRva {
    let list = reserve_counted(head, 12, names.len());
    for (index, name) in names.iter().enumerate() {
        let at = list.entry_at(index);
        let name_rva = head.add_string(&name.name);
        head.bytes.put_u32(at, name.thread_id).put_u64(at + 4, u64::from(name_rva));
    }
    list.location()
}

/// MINIDUMP_MEMORY_INFO, 48 bytes; the count in the header has 64 bits.
pub(super) fn memory_infos(head: &mut Head, shape: ListShape, infos: &[MemoryInfo]) -> SizeAndRva {
    let list = reserve_shaped(head, shape, 16, 48, infos.len());
    for (index, info) in infos.iter().enumerate() {
        let (at, entry) = (list.entry_at(index), &mut head.bytes);
        entry.put_va(at, info.base).put_va(at + 8, info.allocation_base).put_u32(at + 0x10, info.allocation_protect);
        entry.put_u64(at + 0x18, info.size_bytes).put_u32(at + 0x20, info.state);
        entry.put_u32(at + 0x24, info.protect).put_u32(at + 0x28, info.kind);
    }
    list.location()
}

/// MINIDUMP_HANDLE_DESCRIPTOR, 32 bytes, or MINIDUMP_HANDLE_DESCRIPTOR_2, 40 bytes. The header ends with a reserved u32.
pub(super) fn handles(head: &mut Head, shape: ListShape, format: HandleFormat, handles: &[Handle]) -> SizeAndRva {
    let entry_bytes = if format == HandleFormat::V2 { 40 } else { 32 };
    let list = reserve_shaped(head, shape, 16, entry_bytes, handles.len());
    for (index, handle) in handles.iter().enumerate() {
        let at = list.entry_at(index);
        let type_rva = handle.type_name.as_ref().map_or(0, |name| head.add_string(name));
        let object_rva = handle.object_name.as_ref().map_or(0, |name| head.add_string(name));
        if format == HandleFormat::V2 {
            // The links are written last to first, so that each knows the position of the next.
            let mut next_rva = 0;
            for info in handle.object_infos.iter().rev() {
                let rva = head.rva();
                head.bytes.push_u32(next_rva).push_u32(info.info_type).push_u32(len_u32(info.bytes.len()));
                head.bytes.push(&info.bytes);
                next_rva = rva;
            }
            head.bytes.put_u32(at + 0x20, next_rva);
        }
        let entry = &mut head.bytes;
        entry.put_u64(at, handle.value).put_u32(at + 8, type_rva).put_u32(at + 0xc, object_rva);
        entry.put_u32(at + 0x10, handle.attributes).put_u32(at + 0x14, handle.granted_access);
        entry.put_u32(at + 0x18, handle.handle_count).put_u32(at + 0x1c, handle.pointer_count);
    }
    list.location()
}

/// AVRF_HANDLE_OPERATION, 288 bytes: 24 bytes, then AVRF_BACKTRACE_INFORMATION with 32 addresses.
pub(super) fn handle_operations(head: &mut Head, shape: ListShape, operations: &[HandleOperation]) -> SizeAndRva {
    let list = reserve_shaped(head, shape, 16, 288, operations.len());
    for (index, operation) in operations.iter().enumerate() {
        let (at, entry) = (list.entry_at(index), &mut head.bytes);
        let addresses = operation.return_addresses.iter().take(32);
        entry
            .put_u64(at, operation.handle)
            .put_u32(at + 8, operation.process_id)
            .put_u32(at + 0xc, operation.thread_id);
        entry.put_u32(at + 0x10, operation.operation).put_u32(at + 0x18, len_u32(addresses.len()));
        entry.put_u32(at + 0x1c, operation.trace_index);
        for (slot, address) in addresses.enumerate() {
            entry.put_va(at + 0x20 + slot * 8, *address);
        }
    }
    list.location()
}

/// MINIDUMP_TOKEN_INFO_LIST: entries of different lengths, each with its own size in front.
pub(super) fn tokens(head: &mut Head, tokens: &[Token]) -> SizeAndRva {
    let mut list = LeBytes::zeroed(16);
    for token in tokens {
        list.push_u32(len_u32(16 + token.bytes.len())).push_u32(token.id).push_u64(token.handle).push(&token.bytes);
    }
    let size = len_u32(list.len());
    list.put_u32(0, size).put_u32(4, len_u32(tokens.len())).put_u32(8, 16).put_u32(12, 16);
    head.add_blob(list.as_slice())
}
