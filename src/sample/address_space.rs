//! An address space in the making: allocations with their regions, and the bytes that are known.
//!
//! It gives the two things that a dump with full memory holds: every region from 0 to the top of the user address space, free
//! ones included, as VirtualQueryEx tells them, and the contents of every committed region that can be read.

use super::error::SampleError;
use super::minidump_file::{MemoryInfo, MemoryRange, Piece};
use crate::base::addr::{Va, VaRange};

/// Numbers of winnt.h.
pub mod winnt {
    pub const MEM_COMMIT: u32 = 0x1000;
    pub const MEM_RESERVE: u32 = 0x2000;
    pub const MEM_FREE: u32 = 0x1_0000;
    pub const MEM_PRIVATE: u32 = 0x2_0000;
    pub const MEM_MAPPED: u32 = 0x4_0000;
    pub const MEM_IMAGE: u32 = 0x100_0000;
    pub const PAGE_NOACCESS: u32 = 0x1;
    pub const PAGE_READONLY: u32 = 0x2;
    pub const PAGE_READWRITE: u32 = 0x4;
    pub const PAGE_WRITECOPY: u32 = 0x8;
    pub const PAGE_EXECUTE_READ: u32 = 0x20;
    pub const PAGE_EXECUTE_WRITECOPY: u32 = 0x80;
    pub const PAGE_GUARD: u32 = 0x100;
}

/// Some pages of an allocation, with one state and protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub size_bytes: u64,
    pub state: u32,
    pub protect: u32,
}

impl Run {
    pub const fn committed(size_bytes: u64, protect: u32) -> Self {
        Self { size_bytes, state: winnt::MEM_COMMIT, protect }
    }

    pub const fn reserved(size_bytes: u64) -> Self {
        Self { size_bytes, state: winnt::MEM_RESERVE, protect: 0 }
    }
}

/// What an allocation is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationKind {
    /// `MEM_PRIVATE`, `MEM_MAPPED` or `MEM_IMAGE`.
    pub kind: u32,
    /// The protection that the whole was reserved with.
    pub protect: u32,
}

impl AllocationKind {
    pub const PRIVATE: Self = Self { kind: winnt::MEM_PRIVATE, protect: winnt::PAGE_READWRITE };
    pub const PRIVATE_READ_ONLY: Self = Self { kind: winnt::MEM_PRIVATE, protect: winnt::PAGE_READONLY };
    pub const MAPPED_READ_ONLY: Self = Self { kind: winnt::MEM_MAPPED, protect: winnt::PAGE_READONLY };
    pub const MAPPED: Self = Self { kind: winnt::MEM_MAPPED, protect: winnt::PAGE_READWRITE };
    pub const IMAGE: Self = Self { kind: winnt::MEM_IMAGE, protect: winnt::PAGE_EXECUTE_WRITECOPY };
}

/// Allocations in any order; contents in the order of writing, later ones win.
#[derive(Clone, Debug, Default)]
pub struct AddressSpace {
    regions: Vec<MemoryInfo>,
    contents: Vec<(Va, Vec<u8>)>,
}

impl AddressSpace {
    /// Adds an allocation at `base` that consists of `runs`, one after the other. Empty runs are left out.
    pub fn allocate(&mut self, base: Va, allocation: AllocationKind, runs: &[Run]) {
        let mut at = base;
        for run in runs.iter().filter(|run| run.size_bytes > 0) {
            self.regions.push(MemoryInfo {
                base: at,
                allocation_base: base,
                allocation_protect: allocation.protect,
                size_bytes: run.size_bytes,
                state: run.state,
                protect: run.protect,
                kind: allocation.kind,
            });
            at = Va(at.0.saturating_add(run.size_bytes));
        }
    }

    /// Says what the bytes from `va` on are. They may span neighbouring regions, all committed and readable.
    pub fn write(&mut self, va: Va, bytes: impl Into<Vec<u8>>) {
        self.contents.push((va, bytes.into()));
    }

    /// Adds all of `other`.
    pub fn append(&mut self, other: Self) {
        self.regions.extend(other.regions);
        self.contents.extend(other.contents);
    }

    /// The regions below `top`, free ones included, without gaps; equal neighbours of one allocation are one.
    pub fn memory_infos(&self, top: Va) -> Result<Vec<MemoryInfo>, SampleError> {
        let mut infos = Vec::new();
        let mut covered_to = Va(0);
        for region in self.merged() {
            if region.base < covered_to {
                return Err(SampleError::RegionsOverlap { va: region.base });
            }
            push_free(&mut infos, covered_to, region.base);
            covered_to = Va(region.base.0.saturating_add(region.size_bytes));
            infos.push(region);
        }
        push_free(&mut infos, covered_to, top);
        Ok(infos)
    }

    /// What a dump with full memory holds: one range for each committed region that can be read without harm.
    pub fn memory_ranges(&self) -> Result<Vec<MemoryRange>, SampleError> {
        let mut ranges: Vec<MemoryRange> =
            self.merged().iter().filter(|r| is_dumped(r)).map(|r| MemoryRange::hole(r.base, r.size_bytes)).collect();
        for (va, bytes) in &self.contents {
            place_content(&mut ranges, *va, bytes)?;
        }
        Ok(ranges)
    }

    /// Committed bytes of the allocations of `kind`, or of all.
    pub fn committed_bytes(&self, kind: Option<u32>) -> u64 {
        let wanted = |r: &&MemoryInfo| r.state == winnt::MEM_COMMIT && kind.is_none_or(|kind| r.kind == kind);
        self.regions.iter().filter(wanted).map(|r| r.size_bytes).sum()
    }

    /// Bytes that are reserved or committed.
    pub fn allocated_bytes(&self) -> u64 {
        self.regions.iter().map(|r| r.size_bytes).sum()
    }

    fn merged(&self) -> Vec<MemoryInfo> {
        let mut sorted = self.regions.clone();
        sorted.sort_by_key(|region| region.base);
        let mut merged: Vec<MemoryInfo> = Vec::with_capacity(sorted.len());
        for region in sorted {
            match merged.last_mut() {
                Some(last) if continues(last, &region) => last.size_bytes += region.size_bytes,
                _ => merged.push(region),
            }
        }
        merged
    }
}

fn continues(last: &MemoryInfo, next: &MemoryInfo) -> bool {
    last.base.checked_add(last.size_bytes) == Some(next.base)
        && (last.allocation_base, last.state, last.protect, last.kind)
            == (next.allocation_base, next.state, next.protect, next.kind)
}

/// Guard pages would raise, and pages without access cannot be read, so dbghelp leaves both out.
fn is_dumped(region: &MemoryInfo) -> bool {
    region.state == winnt::MEM_COMMIT && region.protect & (winnt::PAGE_GUARD | winnt::PAGE_NOACCESS) == 0
}

fn push_free(infos: &mut Vec<MemoryInfo>, start: Va, end: Va) {
    if start < end {
        infos.push(MemoryInfo {
            base: start,
            size_bytes: end.0 - start.0,
            state: winnt::MEM_FREE,
            protect: winnt::PAGE_NOACCESS,
            ..MemoryInfo::default()
        });
    }
}

fn place_content(ranges: &mut [MemoryRange], va: Va, bytes: &[u8]) -> Result<(), SampleError> {
    let content = VaRange::from_size(va, bytes.len() as u64);
    let mut covered_to = va;
    let first = ranges.partition_point(|range| range.start.0.saturating_add(range.size_bytes) <= va.0);
    for range in ranges.iter_mut().skip(first) {
        let Some(part) = content.intersection(VaRange::from_size(range.start, range.size_bytes)) else {
            break;
        };
        if part.start != covered_to {
            break;
        }
        let skipped = usize::try_from(part.start.0 - va.0).unwrap_or(usize::MAX);
        let length = usize::try_from(part.size_bytes()).unwrap_or(usize::MAX);
        let part_bytes = bytes.get(skipped..).and_then(|rest| rest.get(..length)).unwrap_or_default();
        range.pieces.push(Piece { offset_bytes: part.start.0 - range.start.0, bytes: part_bytes.to_vec() });
        covered_to = part.end;
    }
    if covered_to == content.end { Ok(()) } else { Err(SampleError::NotCommitted { va: covered_to }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_runs() -> AddressSpace {
        let mut space = AddressSpace::default();
        let read_write = winnt::PAGE_READWRITE;
        let runs = [Run::committed(0x1000, read_write), Run::committed(0x1000, read_write), Run::reserved(0x1000)];
        space.allocate(Va(0x2_0000), AllocationKind::PRIVATE, &runs);
        space.allocate(
            Va(0x1_0000),
            AllocationKind::MAPPED_READ_ONLY,
            &[Run::committed(0x1_0000, winnt::PAGE_READONLY)],
        );
        space
    }

    #[test]
    fn regions_tile_the_space_and_equal_neighbours_are_one() {
        let infos = two_runs().memory_infos(Va(0x10_0000)).unwrap();
        let shown: Vec<_> = infos.iter().map(|i| (i.base.0, i.size_bytes, i.state)).collect();
        assert_eq!(
            shown,
            [
                (0, 0x1_0000, winnt::MEM_FREE),
                (0x1_0000, 0x1_0000, winnt::MEM_COMMIT),
                (0x2_0000, 0x2000, winnt::MEM_COMMIT),
                (0x2_2000, 0x1000, winnt::MEM_RESERVE),
                (0x2_3000, 0xd_d000, winnt::MEM_FREE),
            ]
        );
    }

    #[test]
    fn contents_may_span_regions_but_not_leave_them() {
        let mut space = two_runs();
        space.write(Va(0x1_ffff), [1, 2]);
        let ranges = space.memory_ranges().unwrap();
        assert_eq!(ranges[0].pieces[0].offset_bytes, 0xffff);
        assert_eq!(ranges[1].pieces[0].bytes, [2]);
        space.write(Va(0x2_1fff), [1, 2]);
        assert!(matches!(space.memory_ranges(), Err(SampleError::NotCommitted { va: Va(0x2_2000) })));
    }

    #[test]
    fn overlapping_allocations_are_refused() {
        let mut space = two_runs();
        space.allocate(Va(0x2_1000), AllocationKind::PRIVATE, &[Run::reserved(0x1000)]);
        assert!(matches!(space.memory_infos(Va(0x10_0000)), Err(SampleError::RegionsOverlap { .. })));
    }
}
