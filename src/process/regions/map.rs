//! Makes the map: entries of the memory info list, or what stands in for them, split where claims begin and end.

use crate::base::addr::{Va, VaRange};
use crate::base::ids::ModuleIdx;
use crate::base::problems::Problems;
use crate::input::dump::memory_info::MemoryInfoRecord;

use super::claims::{ClaimMap, Rank};
use super::totals::{Entry, Totals};
use super::usage::{Owner, Usage};
use super::{AddressSpace, Completeness, MemoryType, Region, State};

const MEM_COMMIT: u32 = 0x1000;
const MEM_RESERVE: u32 = 0x2000;
const MEM_FREE: u32 = 0x1_0000;
const MEM_PRIVATE: u32 = 0x2_0000;
const MEM_MAPPED: u32 = 0x4_0000;
const MEM_IMAGE: u32 = 0x100_0000;

/// An image in memory, as the module list has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleRange {
    pub module: ModuleIdx,
    pub range: VaRange,
}

/// Makes the map from a memory info list, complete when the whole list is there. `unknown_uses` are those whose structures
/// could not be read: no total of theirs is known.
pub fn map_from_memory_info(
    records: &[MemoryInfoRecord],
    is_whole: bool,
    modules: &[ModuleRange],
    claims: &ClaimMap,
    unknown_uses: &[Usage],
    problems: &mut Problems,
) -> AddressSpace {
    let modules = SortedModules::new(modules);
    let mut regions = Vec::with_capacity(records.len());
    let mut entries = Vec::with_capacity(records.len());
    let mut left_out_count: u64 = 0;
    let mut first_left_out = None;
    for record in in_order_without_overlap(records, problems) {
        let Some(state) = state_of(record.state) else {
            left_out_count = left_out_count.saturating_add(1);
            first_left_out.get_or_insert(record);
            continue;
        };
        let whole = Region {
            range: VaRange::from_size(record.base, record.size_bytes),
            allocation_base: (state != State::Free).then_some(record.allocation_base),
            state,
            memory_type: type_of(record.memory_type).filter(|_| state != State::Free),
            protect: Some(record.protect),
            usage: Usage::Free,
            owner: Owner::Nobody,
        };
        entries.push(Entry { range: whole.range, state, memory_type: whole.memory_type, protect: whole.protect });
        if state == State::Free {
            regions.push(whole);
        } else {
            split_by_claims(whole, &modules, claims, &mut regions);
        }
    }
    if let Some(first) = first_left_out {
        let text = format!(
            "has {left_out_count} regions of an unknown state, the first at {} ({:#x}); they are left out",
            first.base, first.state
        );
        problems.damage("memory info list", text);
    }
    let is_complete = is_whole && left_out_count == 0;
    let completeness = if is_complete { Completeness::Complete } else { Completeness::Partial };
    finish(regions, &entries, completeness, unknown_uses)
}

/// Makes a partial map: memory that lies in the dump, and the modules.
pub fn map_from_memory_ranges(
    memory_ranges: impl Iterator<Item = VaRange>,
    modules: &[ModuleRange],
    claims: &ClaimMap,
    unknown_uses: &[Usage],
) -> AddressSpace {
    let sorted_modules = SortedModules::new(modules);
    let mut pieces: Vec<VaRange> = memory_ranges.collect();
    let saved = pieces.clone();
    for range in sorted_modules.joined_ranges() {
        add_uncovered(range, &saved, &mut pieces);
    }
    pieces.sort_unstable();
    let mut regions = Vec::with_capacity(pieces.len());
    let mut end = Va(0);
    for piece in pieces {
        // Modules of a damaged list may overlap each other.
        let Some(range) = VaRange::new(piece.start.max(end), piece.end).filter(|range| !range.is_empty()) else {
            continue;
        };
        end = range.end;
        let whole = Region {
            range,
            allocation_base: None,
            state: State::Commit,
            memory_type: None,
            protect: None,
            usage: Usage::Unknown,
            owner: Owner::Nobody,
        };
        split_at_modules(whole, &sorted_modules, claims, &mut regions);
    }
    let entries: Vec<Entry> = regions
        .iter()
        .map(|region| Entry { range: region.range, state: region.state, memory_type: None, protect: None })
        .collect();
    finish(regions, &entries, Completeness::Partial, unknown_uses)
}

fn finish(regions: Vec<Region>, entries: &[Entry], completeness: Completeness, unknown_uses: &[Usage]) -> AddressSpace {
    let totals = Totals::new(&regions, entries, completeness, unknown_uses);
    AddressSpace { regions, completeness, totals }
}

/// Sorts the entries and cuts what an earlier one already covers: VirtualQuery never overlaps, a damaged list may.
fn in_order_without_overlap(records: &[MemoryInfoRecord], problems: &mut Problems) -> Vec<MemoryInfoRecord> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|record| record.base);
    let mut kept = Vec::with_capacity(sorted.len());
    let mut end = Va(0);
    let mut overlapping_count: u64 = 0;
    for mut record in sorted {
        let range = VaRange::from_size(record.base, record.size_bytes);
        let wraps = record.base.checked_add(record.size_bytes).is_none();
        if wraps || record.base < end {
            overlapping_count = overlapping_count.saturating_add(1);
        }
        if let Some(rest) = VaRange::new(range.start.max(end), range.end).filter(|rest| !rest.is_empty()) {
            record.base = rest.start;
            record.size_bytes = rest.size_bytes();
            end = rest.end;
            kept.push(record);
        }
    }
    if overlapping_count > 0 {
        problems.damage(
            "memory info list",
            format!("{overlapping_count} regions overlap others or pass the end of the address space; they are cut"),
        );
    }
    kept
}

fn state_of(raw: u32) -> Option<State> {
    match raw {
        MEM_COMMIT => Some(State::Commit),
        MEM_RESERVE => Some(State::Reserve),
        MEM_FREE => Some(State::Free),
        _ => None,
    }
}

const fn type_of(raw: u32) -> Option<MemoryType> {
    match raw {
        MEM_PRIVATE => Some(MemoryType::Private),
        MEM_MAPPED => Some(MemoryType::Mapped),
        MEM_IMAGE => Some(MemoryType::Image),
        _ => None,
    }
}

/// Cuts a region where claims begin and end, and gives each part its use.
fn split_by_claims(whole: Region, modules: &SortedModules<'_>, claims: &ClaimMap, regions: &mut Vec<Region>) {
    let unclaimed = unclaimed_use(&whole, modules);
    let mut at = whole.range.start;
    for claim in claims.overlapping(whole.range) {
        // An image is an image, whatever points into it.
        if whole.memory_type == Some(MemoryType::Image) && claim.rank > Rank::Image {
            continue;
        }
        let Some(part) = claim.range.intersection(whole.range) else { continue };
        push_part(VaRange::new(at, part.start), unclaimed, &whole, regions);
        push_part(Some(part), (claim.usage, claim.owner), &whole, regions);
        at = part.end;
    }
    push_part(VaRange::new(at, whole.range.end), unclaimed, &whole, regions);
}

/// For a partial map, where images are not known by type: cuts at the modules first.
fn split_at_modules(whole: Region, modules: &SortedModules<'_>, claims: &ClaimMap, regions: &mut Vec<Region>) {
    let mut at = whole.range.start;
    for module in modules.overlapping(whole.range) {
        let Some(part) = module.range.intersection(whole.range) else { continue };
        if let Some(before) = VaRange::new(at, part.start).filter(|range| !range.is_empty()) {
            split_by_claims(Region { range: before, ..whole }, modules, claims, regions);
        }
        if let Some(image) = VaRange::new(part.start.max(at), part.end).filter(|range| !range.is_empty()) {
            regions.push(Region { range: image, usage: Usage::Image, owner: Owner::Module(module.module), ..whole });
        }
        at = at.max(part.end);
    }
    if let Some(rest) = VaRange::new(at, whole.range.end).filter(|range| !range.is_empty()) {
        split_by_claims(Region { range: rest, ..whole }, modules, claims, regions);
    }
}

fn push_part(range: Option<VaRange>, (usage, owner): (Usage, Owner), whole: &Region, regions: &mut Vec<Region>) {
    if let Some(range) = range.filter(|range| !range.is_empty()) {
        regions.push(Region { range, usage, owner, ..*whole });
    }
}

fn unclaimed_use(region: &Region, modules: &SortedModules<'_>) -> (Usage, Owner) {
    match region.memory_type {
        Some(MemoryType::Image) => {
            let module = region
                .allocation_base
                .and_then(|base| modules.containing(base))
                .or_else(|| modules.containing(region.range.start));
            (Usage::Image, module.map_or(Owner::Nobody, Owner::Module))
        }
        // The section is certain, the name of its file is in no minidump.
        Some(MemoryType::Mapped) => (Usage::MappedFile, Owner::Nobody),
        Some(MemoryType::Private) | None => (Usage::Unknown, Owner::Nobody),
    }
}

/// Adds those parts of `range` to `pieces` that `covered` (sorted, without overlap) leaves open.
fn add_uncovered(range: VaRange, covered: &[VaRange], pieces: &mut Vec<VaRange>) {
    let mut at = range.start;
    let first = covered.partition_point(|other| other.end <= range.start);
    for other in covered.iter().skip(first).take_while(|other| other.start < range.end) {
        if let Some(open) = VaRange::new(at, other.start).filter(|open| !open.is_empty()) {
            pieces.push(open);
        }
        at = at.max(other.end);
    }
    if let Some(open) = VaRange::new(at, range.end).filter(|open| !open.is_empty()) {
        pieces.push(open);
    }
}

struct SortedModules<'a> {
    by_start: Vec<&'a ModuleRange>,
}

impl<'a> SortedModules<'a> {
    fn new(modules: &'a [ModuleRange]) -> Self {
        let mut by_start: Vec<&ModuleRange> = modules.iter().collect();
        by_start.sort_by_key(|module| module.range.start);
        Self { by_start }
    }

    /// The addresses that any module covers, without overlap.
    fn joined_ranges(&self) -> Vec<VaRange> {
        let mut joined: Vec<VaRange> = Vec::new();
        for module in &self.by_start {
            match joined.last_mut() {
                Some(last) if module.range.start <= last.end => last.end = last.end.max(module.range.end),
                _ => joined.push(module.range),
            }
        }
        joined
    }

    fn containing(&self, va: Va) -> Option<ModuleIdx> {
        let after = self.by_start.partition_point(|module| module.range.start <= va);
        let before = self.by_start.get(..after)?;
        // The same image may stand in the list twice, so the nearest start is not always the only candidate.
        before.iter().rev().take(8).find(|module| module.range.contains(va)).map(|module| module.module)
    }

    fn overlapping(&self, range: VaRange) -> impl Iterator<Item = &'a ModuleRange> {
        let after = self.by_start.partition_point(|module| module.range.start <= range.start);
        let from = after.saturating_sub(1);
        let candidates = self.by_start.iter().copied().skip(from);
        candidates.take_while(move |module| module.range.start < range.end)
    }
}
