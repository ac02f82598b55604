//! A 32-bit process on a 64-bit Windows 7, as a 64-bit dump of it: two TEBs, two PEBs, two heap lists, two stacks.
//!
//! The 32-bit structures are written by hand from the published symbols of Windows 7.

use dumptrend::base::addr::Va;
use dumptrend::sample::LeBytes;
use dumptrend::sample::minidump_file::{MemoryInfo, MemoryRange, MinidumpFile, Thread, flags};
use dumptrend::sample::process_memory::{PebFields, TebFields, peb, teb};

use super::build_dump::{NEW_YEAR_UNIX_SECONDS, image, module, private, private_of, reserved_of, windows_7};
use super::build_process::heap_64;

pub const TEB_64: u64 = 0x7efd_b000;
pub const TEB_32: u64 = 0x7efd_d000;
pub const PEB_32: u64 = 0x7efd_e000;
pub const PEB_64: u64 = 0x7efd_f000;
pub const STACK_64: u64 = 0x5_0000;
pub const STACK_32: u64 = 0x20_0000;
pub const HEAP_64: u64 = 0x50_0000;
pub const HEAP_32: u64 = 0x70_0000;
const HEAP_LISTS: u64 = 0x77_0000;
const EXE: u64 = 0xe3_0000;
const THREAD_ID: u32 = 0x3490;

pub fn memory_infos() -> Vec<MemoryInfo> {
    vec![
        reserved_of(STACK_64, STACK_64, 0x3_0000),
        private_of(STACK_64, STACK_64 + 0x3_0000, 0x1_0000),
        reserved_of(STACK_32, STACK_32, 0xf_0000),
        private_of(STACK_32, STACK_32 + 0xf_0000, 0x1_0000),
        private(HEAP_64, 0x1_0000),
        private(HEAP_32, 0x1_0000),
        private(HEAP_LISTS, 0x1000),
        image(EXE, 0x1000),
        // One region holds both TEBs, as Windows 7 lays them out.
        private(TEB_64, 0x3000),
        private(PEB_32, 0x1000),
        private(PEB_64, 0x1000),
    ]
}

pub fn memory_ranges() -> Vec<MemoryRange> {
    let mut lists = LeBytes::zeroed(0x10);
    lists.put_u64(0, HEAP_64).put_u32(8, 0x70_0000);
    let peb_fields = PebFields {
        image_base: Va(EXE),
        process_heaps: Va(HEAP_LISTS),
        heap_count: 1,
        build_number: 7601,
        ..PebFields::default()
    };
    let teb_fields = TebFields {
        teb: Va(TEB_64),
        peb: Va(PEB_64),
        thread_id: THREAD_ID,
        // The 64-bit stack of such a thread begins within its last page.
        stack_base: Va(STACK_64 + 0x3_fd20),
        stack_limit: Va(STACK_64 + 0x3_0000),
        deallocation_stack: Va(STACK_64),
        ..TebFields::default()
    };
    let mut teb_64 = teb(&teb_fields);
    teb_64[..8].copy_from_slice(&TEB_32.to_le_bytes());
    vec![
        MemoryRange::hole(Va(STACK_64 + 0x3_0000), 0x1_0000),
        MemoryRange::hole(Va(STACK_32 + 0xf_0000), 0x1_0000),
        MemoryRange::hole(Va(HEAP_64), 0x1000).with(0, heap_64(HEAP_64, &[], &[])),
        MemoryRange::hole(Va(HEAP_32), 0x1000).with(0, heap_32()),
        MemoryRange::hole(Va(HEAP_LISTS), 0x10).with(0, lists.into_vec()),
        MemoryRange::hole(Va(TEB_64), 0x3000).with(0, teb_64).with(0x2000, teb_32()),
        MemoryRange::hole(Va(PEB_32), 0x1000).with(0, peb_32()),
        MemoryRange::hole(Va(PEB_64), 0x1000).with(0, peb(&peb_fields)),
    ]
}

pub fn dump() -> MinidumpFile {
    MinidumpFile::new(flags::WITH_FULL_MEMORY | flags::WITH_FULL_MEMORY_INFO, NEW_YEAR_UNIX_SECONDS)
        .system_info(windows_7(9))
        .modules(vec![module(EXE, 0x1000, r"C:\fizz.exe")])
        .threads(vec![Thread { id: THREAD_ID, teb: Va(TEB_64), ..Thread::default() }])
        .memory_infos(memory_infos())
        .memory64(memory_ranges())
}

fn low(va: u64) -> u32 {
    u32::try_from(va).expect("a 32-bit address")
}

/// StackBase 4, StackLimit 8, Self 18, thread id 24, PEB 30, DeallocationStack e0c, all hexadecimal.
fn teb_32() -> Vec<u8> {
    let mut teb = LeBytes::zeroed(0xfe4);
    teb.put_u32(4, low(STACK_32 + 0x10_0000)).put_u32(8, low(STACK_32 + 0xf_0000)).put_u32(0x18, low(TEB_32));
    teb.put_u32(0x24, THREAD_ID).put_u32(0x30, low(PEB_32)).put_u32(0xe0c, low(STACK_32));
    teb.into_vec()
}

/// ImageBaseAddress 8, NtGlobalFlag 68, NumberOfHeaps 88, ProcessHeaps 90, OSMajorVersion a4, OSBuildNumber ac.
fn peb_32() -> Vec<u8> {
    let mut peb = LeBytes::zeroed(0x248);
    peb.put_u32(8, low(EXE)).put_u32(0x68, 0x70).put_u32(0x88, 1).put_u32(0x90, low(HEAP_LISTS + 8));
    peb.put_u32(0xa4, 6).put_u32(0xa8, 1).put_u16(0xac, 7601);
    peb.into_vec()
}

/// SegmentSignature 8, SegmentListEntry 10, Flags 40, Signature 64, VirtualAllocdBlocks a0, SegmentList a8.
fn heap_32() -> Vec<u8> {
    let at = |offset: u64| low(HEAP_32 + offset);
    let mut heap = LeBytes::zeroed(0x138);
    heap.put_u32(8, 0xffee_ffee).put_u32(0x10, at(0xa8)).put_u32(0x14, at(0xa8)).put_u32(0x40, 0x1002);
    heap.put_u32(0x64, 0xeeff_eeff).put_u32(0xa0, at(0xa0)).put_u32(0xa4, at(0xa0));
    heap.put_u32(0xa8, at(0x10)).put_u32(0xac, at(0x10));
    heap.into_vec()
}
