//! The heaps of a dump in the JSON report.

use serde::Serialize;

use crate::analysis::snapshot::heaps::DumpHeaps;
use crate::analysis::snapshot::{ProcessHeap, Snapshot};
use crate::base::addr::PointerWidth;
use crate::process::heap::figures::HeapFigures;
use crate::process::heap::head::{FrontEnd, HeapKind};
use crate::process::heap::totals::{BlockTotals, DamagedPlace};
use crate::process::heap::{DecodedHeap, SegmentHeapState};

/// One heap. Fields of NT heaps are `null` for other kinds, and all are before the heaps are decoded.
#[derive(Serialize)]
pub(super) struct Heap {
    base: String,
    kind: Option<&'static str>,
    pointer_bits: u32,
    /// Whether the PEB's list has it: not so the heap that serves a page heap.
    is_listed: bool,
    /// Whether the layout was seen on a real dump or stands on published facts.
    proof: Option<&'static str>,
    layout_checks: Vec<&'static str>,
    flags: Option<String>,
    segment_count: Option<usize>,
    reserve_kb: Option<u64>,
    commit_kb: Option<u64>,
    virt_kb: Option<u64>,
    free_kb: Option<u64>,
    list_length: Option<u64>,
    ucr_count: Option<u64>,
    virtual_block_count: Option<usize>,
    virtual_block_bytes: Option<u64>,
    lock_contention: Option<u32>,
    front_end: Option<&'static str>,
    external_fragmentation_percent: Option<u64>,
    virtual_fragmentation_percent: Option<u64>,
    /// Entries of its segments that say busy, as `!heap -a` lists them: the entry at the end of each committed run counts,
    /// and a container of the front end is one block.
    busy_block_count: Option<u64>,
    busy_bytes: Option<u64>,
    entry_count: Option<u64>,
    /// What the program holds, blocks of the front end and large ones included.
    in_use_block_count: Option<u64>,
    in_use_block_bytes: Option<u64>,
    in_use_user_bytes: Option<u64>,
    free_block_count: Option<u64>,
    free_block_bytes: Option<u64>,
    largest_in_use_bytes: Option<u64>,
    largest_free_bytes: Option<u64>,
    /// Whether every block was read, and nothing contradicts itself.
    is_whole: Option<bool>,
    bad_header_count: Option<u64>,
    broken_chain_count: Option<u64>,
    missing_bytes: Option<u64>,
    /// Containers of the front end whose blocks could not be made out.
    unknown_container_count: Option<u64>,
    damaged_places: Vec<Damage>,
    /// `walked` or `totals_only`, of a segment heap.
    segment_heap_blocks: Option<&'static str>,
    /// Of what is no known heap.
    first_bytes: Option<String>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Damage {
    start: String,
    end: String,
    kind: &'static str,
}

/// `ntdll!RtlpLFHKey`.
#[derive(Serialize)]
pub(super) struct Key {
    pointer_bits: u32,
    value: Option<String>,
    low_half: String,
}

pub(super) fn lfh_keys(heaps: &DumpHeaps) -> Vec<Key> {
    let key = |key: &crate::analysis::snapshot::heaps::LfhKey| Key {
        pointer_bits: key.width.bits(),
        value: key.full.map(|value| match key.width {
            PointerWidth::Bits32 => format!("0x{value:08x}"),
            PointerWidth::Bits64 => format!("0x{value:016x}"),
        }),
        low_half: format!("0x{:08x}", key.low),
    };
    heaps.lfh_keys.iter().map(key).collect()
}

/// All heaps of a dump; `None` where the list is not in it.
pub(super) fn heaps(snapshot: &Snapshot, decoded: Option<&DumpHeaps>) -> Option<Vec<Heap>> {
    // Every process has a heap: none means that the list is not in the dump.
    if snapshot.heaps.is_empty() {
        return None;
    }
    let of = |at: usize| decoded.and_then(|heaps| heaps.heaps.get(at));
    Some(snapshot.heaps.iter().enumerate().map(|(at, listed)| heap(listed, of(at))).collect())
}

fn heap(listed: &ProcessHeap, decoded: Option<&DecodedHeap>) -> Heap {
    const KB: u64 = 1024;
    let extent = &listed.extent;
    let figures: Option<HeapFigures> = decoded.and_then(|heap| heap.figures);
    let segment_heap = decoded.and_then(|heap| heap.segment_heap);
    let totals: Option<&BlockTotals> = decoded.and_then(|heap| heap.totals.as_ref());
    let is_nt = extent.kind == HeapKind::Nt;
    let kb = |of: &dyn Fn(&HeapFigures) -> u64| figures.as_ref().map(|figures| of(figures) / KB);
    let entries = totals.filter(|_| is_nt).map(BlockTotals::entries);
    let busy = totals.filter(|_| is_nt).map(BlockTotals::busy_entries);
    let large = totals.map(|totals| totals.of(crate::process::heap::block::BlockKind::Large));
    Heap {
        base: extent.base.to_string(),
        kind: kind(extent.kind),
        pointer_bits: extent.width.bits(),
        is_listed: listed.is_listed,
        proof: decoded.and_then(|heap| heap.proof).map(|proof| proof.key()),
        layout_checks: extent.head.as_ref().map(|head| head.evidence.clone()).unwrap_or_default(),
        flags: extent
            .flags
            .or_else(|| segment_heap.map(|(figures, _)| figures.global_flags))
            .map(|flags| format!("0x{flags:08x}")),
        segment_count: is_nt.then_some(extent.segments.len()),
        reserve_kb: kb(&|figures| figures.reserved_bytes).or_else(|| segment_heap.map(|(f, _)| f.reserved_bytes / KB)),
        commit_kb: kb(&|figures| figures.committed_bytes).or_else(|| segment_heap.map(|(f, _)| f.committed_bytes / KB)),
        virt_kb: kb(&|figures| figures.virtual_bytes),
        free_kb: kb(&|figures| figures.free_bytes)
            .or_else(|| segment_heap.map(|(figures, _)| figures.free_committed_bytes / KB)),
        list_length: figures.and_then(|figures| figures.free_list_length),
        ucr_count: figures.map(|figures| figures.ucr_count),
        virtual_block_count: is_nt.then_some(extent.large_blocks.len()),
        virtual_block_bytes: large.map(|amount| amount.block_bytes),
        lock_contention: figures.and_then(|figures| figures.lock_contention),
        front_end: figures.map(|figures| match figures.front_end {
            FrontEnd::None => "none",
            FrontEnd::Lookaside => "lookaside",
            FrontEnd::LowFragmentation => "lfh",
        }),
        external_fragmentation_percent: figures.and_then(|figures| figures.external_fragmentation_percent()),
        virtual_fragmentation_percent: figures.and_then(|figures| figures.virtual_fragmentation_percent()),
        busy_block_count: busy.map(|amount| amount.block_count),
        busy_bytes: busy.map(|amount| amount.block_bytes),
        entry_count: entries.map(|amount| amount.block_count),
        in_use_block_count: totals.map(|totals| totals.in_use().block_count),
        in_use_block_bytes: totals.map(|totals| totals.in_use().block_bytes),
        in_use_user_bytes: totals.map(|totals| totals.in_use().user_bytes),
        free_block_count: totals.map(|totals| totals.free().block_count),
        free_block_bytes: totals.map(|totals| totals.free().block_bytes),
        largest_in_use_bytes: totals.and_then(|totals| totals.largest_in_use).map(|block| block.size_bytes),
        largest_free_bytes: totals.and_then(|totals| totals.largest_free).map(|block| block.size_bytes),
        is_whole: totals.map(BlockTotals::is_whole),
        bad_header_count: totals.map(|totals| totals.bad_header_count),
        broken_chain_count: totals.map(|totals| totals.broken_chain_count),
        missing_bytes: totals.map(|totals| totals.missing_bytes),
        unknown_container_count: totals.map(|totals| totals.unknown_container_count),
        damaged_places: totals.iter().flat_map(|totals| &totals.damaged_places).map(damage).collect(),
        segment_heap_blocks: segment_heap.map(|(_, state)| match state {
            SegmentHeapState::Walked => "walked",
            SegmentHeapState::TotalsOnly => "totals_only",
        }),
        first_bytes: decoded.filter(|heap| !heap.first_bytes.is_empty()).map(|heap| {
            let bytes: Vec<String> = heap.first_bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            bytes.join(" ")
        }),
        problems: decoded
            .iter()
            .flat_map(|heap| heap.problems.iter())
            .map(|problem| format!("{}: {}", problem.place, problem.text))
            .collect(),
    }
}

const fn kind(kind: HeapKind) -> Option<&'static str> {
    match kind {
        HeapKind::Nt => Some("nt"),
        HeapKind::Segment => Some("segment"),
        HeapKind::PageHeap => Some("page_heap"),
        HeapKind::Unrecognised => Some("unrecognised"),
        HeapKind::NotInDump => None,
    }
}

fn damage(place: &DamagedPlace) -> Damage {
    use crate::process::heap::block::Loss;
    Damage {
        start: place.range.start.to_string(),
        end: place.range.end.to_string(),
        kind: match place.loss {
            Some(Loss::BadHeader) => "bad_header",
            Some(Loss::PastEnd) => "past_end",
            Some(Loss::NotInDump) => "not_in_dump",
            Some(Loss::UnknownContainer) => "unknown_container",
            None => "broken_chain",
        },
    }
}
