//! The heaps of one dump, decoded, and the key of the low-fragmentation heap.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::base::progress::{Cancelled, Progress};
use crate::process::heap::block::BlockSink;
use crate::process::heap::{DecodedHeap, HeapHints, decode_heap, visit_blocks};
use crate::process::regions::State;

use super::{ProcessHeap, Snapshot};

/// `ntdll!RtlpLFHKey`, which each ntdll of a process has for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LfhKey {
    pub width: PointerWidth,
    /// What masks the blocks.
    pub low: u32,
    /// All of it, where it is known: WinDbg prints that.
    pub full: Option<u64>,
}

/// The heaps of one dump.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DumpHeaps {
    /// In the order of [`Snapshot::heaps`].
    pub heaps: Vec<DecodedHeap>,
    pub lfh_keys: Vec<LfhKey>,
}

impl DumpHeaps {
    pub fn lfh_key(&self, width: PointerWidth) -> Option<&LfhKey> {
        self.lfh_keys.iter().find(|key| key.width == width)
    }
}

/// Decodes all heaps of a dump.
///
/// # Errors
/// Only when cancelled.
pub fn decode_heaps(snapshot: &Snapshot, progress: &Progress) -> Result<DumpHeaps, Cancelled> {
    let mut heaps = Vec::with_capacity(snapshot.heaps.len());
    for heap in &snapshot.heaps {
        heaps.push(decode_heap(&snapshot.dump.memory, &heap.extent, hints(snapshot, heap), progress)?);
    }
    let mut lfh_keys: Vec<LfhKey> = Vec::new();
    for (heap, decoded) in snapshot.heaps.iter().zip(&heaps) {
        let width = heap.extent.width;
        let is_new = lfh_keys.iter().all(|key| key.width != width);
        if let Some(low) = decoded.lfh_key_low.filter(|_| is_new) {
            lfh_keys.push(LfhKey { width, low, full: full_key(snapshot, width, low) });
        }
    }
    Ok(DumpHeaps { heaps, lfh_keys })
}

/// Tells sinks of all blocks of one heap, one sink for each task.
///
/// # Errors
/// Only when cancelled.
pub fn visit_heap<S: BlockSink>(
    snapshot: &Snapshot,
    heap: &ProcessHeap,
    new_sink: impl Fn() -> S + Sync + Send,
    progress: &Progress,
) -> Result<Vec<S>, Cancelled> {
    visit_blocks(&snapshot.dump.memory, &heap.extent, hints(snapshot, heap), new_sink, progress)
}

fn hints(snapshot: &Snapshot, heap: &ProcessHeap) -> HeapHints {
    HeapHints { os_build: heap.os_build, lfh_key: snapshot.ntdll.lfh_key(heap.extent.width) }
}

/// Situation: on x64 blocks show the low half of the key only, and WinDbg prints all of it. Handled: the key is a variable of
/// ntdll, so it lies in ntdll's writable pages; where exactly one number there has this low half, that is the key. Where
/// known from: the variable is in ntdll's public symbols, pointer-sized. Test: `the_case_prints_as_windbg_printed_it`.
fn full_key(snapshot: &Snapshot, width: PointerWidth, low: u32) -> Option<u64> {
    const WRITABLE: u32 = 0x4 | 0x8 | 0x40 | 0x80;
    if width == PointerWidth::Bits32 {
        return Some(u64::from(low));
    }
    if let Some(key) = snapshot.ntdll.lfh_key(width) {
        return Some(key);
    }
    let ntdll = ntdll_range(snapshot, width)?;
    let pages = snapshot.address_space.regions.iter().filter(|region| {
        region.state == State::Commit
            && region.protect.is_some_and(|protect| protect & WRITABLE != 0)
            && region.range.intersection(ntdll).is_some()
    });
    let mut found: Option<u64> = None;
    for region in pages {
        let bytes = snapshot.dump.memory.bytes_at(region.range.start, region.range.size_bytes());
        let words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
        for word in words.filter(|word| word & 0xffff_ffff == u64::from(low) && word >> 32 != 0) {
            if found.is_some_and(|known| known != word) {
                return None;
            }
            found = Some(word);
        }
    }
    found
}

/// Where ntdll of this bitness lies: of a WOW64 process's two, that with 32-bit addresses lies below 4 GB.
fn ntdll_range(snapshot: &Snapshot, width: PointerWidth) -> Option<VaRange> {
    const END_OF_32_BITS: Va = Va(1 << 32);
    let modules = snapshot.dump.modules.iter().flatten();
    let mut ntdlls = modules.filter(|module| module.file_name().eq_ignore_ascii_case("ntdll.dll"));
    let is_wanted = |base: Va| !snapshot.is_wow64() || (base < END_OF_32_BITS) == (width == PointerWidth::Bits32);
    ntdlls.find(|module| is_wanted(module.base)).map(|module| module.range())
}
