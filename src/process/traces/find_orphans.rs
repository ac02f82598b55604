//! Finds an indexed database by its entries alone, where its header is damaged or not in the dump.
//!
//! Cheap for what is no database: an allocation is looked at only when its size can be a reservation's, and then in a few
//! places. Only where entries follow each other there, its memory is walked.
//!
//! Entries have no mark of their own, so each proof is one that other memory fails: blocks that follow each other by the
//! size that each says it has; return addresses that lie in modules; several depths, which lists of equal objects do not
//! have; and hash chains that lead to entries of the same bucket.
//!
//! **Invariant:** the work is linear in the allocation, whatever lies in it.

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::bytes;
use crate::base::memory::ReadMemory;
use crate::base::progress::{Cancelled, Progress};

use super::area::{Area, PAGE_BYTES, Run, bytes_from};
use super::entry::{EntryRule, RawEntry};
use super::find_indexed::MAX_RESERVED_BYTES;
use super::frame_words::{sum_of, words};
use super::indexed::IndexedHeader;
use super::layouts::{
    BlockRule, DATABASES, DatabaseLayout, Generation, MAX_BLOCK_BYTES, MAX_DEPTH, entry_fields_offset,
};
use super::record::range_with;
use super::walk::{KnownEntries, Step, Steps};
use super::{Check, FoundBy, StoreBody, StoreHeader, StoreKind};

/// gflags (/tracedb) and ntdll of Windows 10 and 11 (StackTraceDatabaseSizeInMb) count the size of a database in megabytes;
/// both databases of the Windows 7 x64 case have 24 MB. One of another size is not found without its header.
const MEGABYTE: u64 = 1 << 20;
/// Entries in use that must follow each other, so that what they are is certain.
const RUN_COUNT: usize = 16;
/// Blocks that are read for it: some may be free.
const MAX_RUN_BLOCKS: usize = 32;
/// Different depths that there must be. A list of equal objects can look like entries, all of one depth.
const LEAST_DEPTH_COUNT: u32 = 3;
/// Hash chains that must lead to an entry of the same bucket.
const LEAST_LINK_COUNT: usize = 4;
/// Hash chains that are looked at.
const LINK_SAMPLE_COUNT: usize = 4096;
/// NumberOfBuckets of Windows 10 and 11 below 16 MB and from there on; a Windows 7 database of 24 MB has the second too.
const KNOWN_BUCKET_COUNTS: [u32; 2] = [5569, 9551];
/// No version has as few buckets as this. Sums that have nothing to do with each other agree modulo smaller numbers.
const LEAST_BUCKET_COUNT: u32 = 16;
/// A process has one database for each ntdll. Allocations past this many that begin to look like one come from a dump
/// made to keep the reader busy.
const MAX_WALKED: usize = 16;

/// Where the dump may go on behind a missing header: the next page, or behind buckets that are missing too.
const PRESENT_OFFSETS: [u64; 4] = [0x1000, 0, 0x1_0000, 0x4_0000];
/// Entries reach to the last committed page, so the third page before its end is full of them, unless there are few. That
/// page and one more are all that is looked at: each costs a page fault, and most large allocations are none of ours.
const PROBE_BEFORE_END: u64 = 0x3000;

/// Databases among the candidates that no store of `found` has. `candidates` and `modules` are in order.
pub(super) fn find_orphans(
    memory: &dyn ReadMemory,
    candidates: &[VaRange],
    modules: &[VaRange],
    found: &[StoreHeader],
    progress: &Progress,
) -> Result<Vec<StoreHeader>, Cancelled> {
    let is_claimed = |range: VaRange| found.iter().any(|store| store.reserved.intersection(range).is_some());
    let mut orphans = Vec::new();
    let mut walked_count: usize = 0;
    if modules.is_empty() {
        return Ok(orphans);
    }
    for range in candidates.iter().copied().filter(|range| may_be_reservation(*range) && !is_claimed(*range)) {
        progress.check()?;
        let search = Search { memory, modules, extent: range, progress };
        let Some(likely) = search.probe() else { continue };
        orphans.extend(search.establish(&likely)?);
        walked_count = walked_count.saturating_add(1);
        if walked_count >= MAX_WALKED {
            break;
        }
    }
    Ok(orphans)
}

fn may_be_reservation(range: VaRange) -> bool {
    let size_bytes = range.size_bytes();
    size_bytes.is_multiple_of(MEGABYTE) && (MEGABYTE..=MAX_RESERVED_BYTES).contains(&size_bytes)
}

/// Layouts of entries with the rounding of their blocks. Vista's entries are those of Windows 7.
fn entry_layouts() -> impl Iterator<Item = (&'static DatabaseLayout, u64)> {
    let layouts = DATABASES.iter().filter(|layout| layout.generation != Generation::Vista);
    layouts.flat_map(|layout| layout.alignments.iter().map(move |alignment| (layout, *alignment)))
}

/// One allocation that is looked through.
struct Search<'s> {
    memory: &'s dyn ReadMemory,
    modules: &'s [VaRange],
    extent: VaRange,
    progress: &'s Progress,
}

/// How the entries of the allocation read, from some place on.
struct Likely {
    rule: EntryRule,
    generation: Option<Generation>,
}

/// What a walk over all entries gives.
struct Walked {
    end: u64,
    entry_count: u64,
    /// Bit `depth - 1` for each depth.
    depths: u32,
    frame_count: u64,
    module_frame_count: u64,
    links: Links,
}

/// Differences of the sums of entries and of those that their hash chain leads to.
#[derive(Default)]
struct Links {
    looked_at_count: usize,
    differences: Vec<u32>,
}

impl Search<'_> {
    /// Looks at a few places for a run of entries.
    fn probe(&self) -> Option<Likely> {
        let start = self.extent.start;
        let run = PRESENT_OFFSETS.iter().find_map(|offset| {
            let at = start.checked_add(*offset)?;
            let bytes = self.memory.bytes_at(at, self.extent.end.offset_from(at)?);
            (!bytes.is_empty()).then_some(Run { start: at.0, bytes })
        })?;
        let near_end = run.end().saturating_sub(PROBE_BEFORE_END).max(run.start);
        // Few entries begin behind that, at a place that is known for some layouts.
        for (layout, alignment) in entry_layouts() {
            for first in KNOWN_BUCKET_COUNTS.iter().filter_map(|count| first_entry_offset(layout, *count)) {
                let va = start.checked_add(first)?.0;
                let likely = self.likely(layout, alignment, va);
                if (near_end..run.end()).contains(&va) && self.has_run(&likely.rule, va) {
                    return Some(likely);
                }
            }
        }
        let page = page_at(&run, near_end);
        page.iter().any(|byte| *byte != 0).then_some(())?;
        // Near the end there may be damage, or the index array where no page is left between it and the entries.
        let half = (run.bytes.len() as u64 / 2) & !(PAGE_BYTES - 1);
        let middle = run.start.checked_add(half)?;
        self.probe_page(near_end, page).or_else(|| self.probe_page(middle, page_at(&run, middle)))
    }

    /// Tries each place of a page where a field could be an entry's Depth: the upper half or quarter of the word at 8.
    fn probe_page(&self, start: u64, page: &[u8]) -> Option<Likely> {
        [PointerWidth::Bits64, PointerWidth::Bits32].into_iter().find_map(|width| {
            let depth_shift = width.bits().saturating_sub(16);
            let mut word_at = start;
            words(page, width).find_map(|word| {
                let va = word_at.saturating_sub(8);
                word_at = word_at.saturating_add(width.bytes());
                (1..=u64::from(MAX_DEPTH)).contains(&word.wrapping_shr(depth_shift)).then_some(())?;
                let layouts = entry_layouts().filter(|(layout, _)| layout.width == width);
                let mut likely = layouts.map(|(layout, alignment)| self.likely(layout, alignment, va));
                likely.find(|likely| self.has_run(&likely.rule, va))
            })
        })
    }

    /// The rule for entries in this allocation, one of which begins at `va`.
    fn likely(&self, layout: &DatabaseLayout, alignment: u64, va: u64) -> Likely {
        let start = self.extent.start.0;
        let phase = va.wrapping_sub(start) & alignment.saturating_sub(1);
        let area = VaRange { start: Va(start.saturating_add(phase)), end: self.extent.end };
        let is_by_block_depth = layout.blocks == BlockRule::ByBlockDepth;
        let rule = EntryRule {
            width: layout.width,
            blocks: layout.blocks,
            alignment,
            is_alignment_certain: is_by_block_depth,
            area,
            links: self.extent,
        };
        // Entries of Vista and of 7 to 11 are the same.
        Likely { rule, generation: (!is_by_block_depth).then_some(layout.generation) }
    }

    /// Whether entries follow each other from `va` on: each in use with its first frame in a module, and at least half
    /// of all their frames. Code that was made at run time is in no module.
    fn has_run(&self, rule: &EntryRule, va: u64) -> bool {
        let mut at = va;
        let mut used_count: usize = 0;
        let (mut frame_count, mut module_frame_count) = (0_u64, 0_u64);
        for _ in 0..MAX_RUN_BLOCKS {
            let bytes = self.memory.bytes_at(Va(at), self.extent.end.0.saturating_sub(at).min(MAX_BLOCK_BYTES));
            let Ok(entry) = rule.read_doubted(at, bytes) else { return false };
            if entry.is_free {
                if used_count == 0 {
                    return false;
                }
            } else {
                let frames = rule.frames(&entry, bytes);
                if !self.begins_in_module(frames, rule.width) {
                    return false;
                }
                used_count = used_count.saturating_add(1);
                frame_count = frame_count.saturating_add(u64::from(entry.depth));
                module_frame_count = module_frame_count.saturating_add(self.module_frame_count(frames, rule.width));
            }
            if used_count == RUN_COUNT {
                return module_frame_count >= frame_count.div_ceil(2);
            }
            at = at.saturating_add(entry.block_bytes);
        }
        false
    }

    fn is_in_module(&self, frame: u64) -> bool {
        range_with(self.modules, Va(frame)).is_some()
    }

    fn begins_in_module(&self, frames: &[u8], width: PointerWidth) -> bool {
        words(frames, width).next().is_some_and(|frame| self.is_in_module(frame))
    }

    fn module_frame_count(&self, frames: &[u8], width: PointerWidth) -> u64 {
        words(frames, width).filter(|frame| self.is_in_module(*frame)).count() as u64
    }

    /// Walks the allocation, and makes it a store if the entries prove that they are such.
    fn establish(&self, likely: &Likely) -> Result<Option<StoreHeader>, Cancelled> {
        let area = Area::new(self.memory, self.extent);
        let Some(first) = self.first_entry(&area, &likely.rule)? else { return Ok(None) };
        let rule = EntryRule { area: VaRange { start: Va(first), end: self.extent.end }, ..likely.rule };
        let walked = self.walk(&area, rule)?;
        let depth_count = walked.depths.count_ones();
        let agreement = walked.links.agreement();
        let is_proved = depth_count >= LEAST_DEPTH_COUNT && agreement.as_ref().is_some_and(Check::has_passed);
        let Some(agreement) = agreement.filter(|_| is_proved) else { return Ok(None) };
        let evidence = vec![
            Check::new(
                format!("{RUN_COUNT} entries and more follow each other block by block from {first:#x} on"),
                true,
            ),
            Check::new("their first frames lie in modules, and in a run of them half of all frames", true),
            Check::new(format!("their stacks have {depth_count} different depths"), true),
            agreement,
            Check::new(
                format!(
                    "{} of the {} frames of all {} entries lie in modules",
                    walked.module_frame_count, walked.frame_count, walked.entry_count
                ),
                walked.module_frame_count >= walked.frame_count.div_ceil(2),
            ),
            Check::new("a header with limits and buckets leads to the entries", false),
        ];
        let end = self.extent.end;
        Ok(Some(StoreHeader {
            kind: StoreKind::Indexed,
            width: rule.width,
            generation: likely.generation,
            base: self.extent.start,
            reserved: self.extent,
            zones: Vec::new(),
            found_by: FoundBy::Records,
            evidence,
            counts: None,
            is_layout_from_pdb: false,
            body: StoreBody::Indexed(IndexedHeader {
                rule: EntryRule { area: VaRange { start: Va(first), end: Va(walked.end) }, ..rule },
                next_free_upper: end,
                index_array: end,
                buckets: self.extent.start,
                bucket_count: 0,
                bucket_bytes: 0,
            }),
        }))
    }

    /// The lowest place where a run of entries begins.
    fn first_entry(&self, area: &Area<'_>, rule: &EntryRule) -> Result<Option<u64>, Cancelled> {
        let mut va = rule.area.start.0;
        let mut until_check = 0_u32;
        while va < rule.area.end.0 {
            until_check = until_check.wrapping_add(1);
            if until_check & 0xffff == 0 {
                self.progress.check()?;
            }
            let Some(run) = area.run_from(va) else { break };
            if run.start > va {
                va = rule.next_place(run.start);
                continue;
            }
            if may_have_depth(bytes_from(run, va), 0, rule.width) && self.has_run(rule, va) {
                return Ok(Some(va));
            }
            va = va.saturating_add(rule.alignment);
        }
        Ok(None)
    }

    /// Reads all entries from the first one on. They end with the last one whose first frame lies in a module, and free
    /// blocks behind it: what comes then is the rest of a page, or the index array.
    fn walk(&self, area: &Area<'_>, rule: EntryRule) -> Result<Walked, Cancelled> {
        let start = rule.area.start.0;
        let mut walked = Walked {
            end: start,
            entry_count: 0,
            depths: 0,
            frame_count: 0,
            module_frame_count: 0,
            links: Links::default(),
        };
        let known = KnownEntries::default();
        for (index, step) in Steps::new(area, rule, &known, start, rule.area.end.0).enumerate() {
            if index & 0xffff == 0 {
                self.progress.check()?;
            }
            let Step::Entry { va, entry, bytes } = step else { continue };
            let entry_end = va.saturating_add(entry.block_bytes);
            if entry.is_free {
                if va == walked.end && rule.read_doubted(va, &bytes).is_ok() {
                    walked.end = entry_end;
                }
                continue;
            }
            let frames = rule.frames(&entry, &bytes);
            if self.begins_in_module(frames, rule.width) {
                walked.end = entry_end;
                walked.entry_count = walked.entry_count.saturating_add(1);
                walked.depths |= 1_u32.rotate_left(u32::from(entry.depth).saturating_sub(1));
                walked.frame_count = walked.frame_count.saturating_add(u64::from(entry.depth));
                let module_frame_count = self.module_frame_count(frames, rule.width);
                walked.module_frame_count = walked.module_frame_count.saturating_add(module_frame_count);
                walked.links.look_at(area, &rule, &entry, frames);
            }
        }
        Ok(walked)
    }
}

/// Where the first entry lies, in layouts of which that is known.
fn first_entry_offset(layout: &DatabaseLayout, bucket_count: u32) -> Option<u64> {
    let buckets_bytes = layout.bucket_bytes.checked_mul(u64::from(bucket_count))?;
    layout.buckets.checked_add(buckets_bytes)?.checked_add(layout.gap_after_buckets?)
}

/// The rest of the page at `va`.
fn page_at<'a>(run: &Run<'a>, va: u64) -> &'a [u8] {
    bytes::available_at(bytes_from(run, va), 0, PAGE_BYTES)
}

/// The cheap part: whether the field Depth of an entry at `offset` is 1 to 32. It is the last of the eight bytes of fields.
fn may_have_depth(bytes: &[u8], offset: u64, width: PointerWidth) -> bool {
    let at = offset.checked_add(entry_fields_offset(width)).and_then(|fields| fields.checked_add(6));
    at.and_then(|at| bytes::u16_at(bytes, at)).is_some_and(|depth| (1..=MAX_DEPTH).contains(&depth))
}

impl Links {
    /// Follows an entry's hash chain by one link.
    fn look_at(&mut self, area: &Area<'_>, rule: &EntryRule, entry: &RawEntry, frames: &[u8]) {
        if entry.hash_chain == 0 || self.looked_at_count >= LINK_SAMPLE_COUNT {
            return;
        }
        let bytes = area.entry_bytes(entry.hash_chain);
        if bytes.is_empty() {
            return;
        }
        self.looked_at_count = self.looked_at_count.saturating_add(1);
        // Below the first entry that was made out there may be others.
        let rule = EntryRule { area: VaRange { start: rule.links_start(), ..rule.area }, ..*rule };
        if let Ok(next) = rule.read_doubted(entry.hash_chain, &bytes)
            && !next.is_free
        {
            let (sum, next_sum) = (sum_of(frames, rule.width), sum_of(rule.frames(&next, &bytes), rule.width));
            self.differences.push(sum.abs_diff(next_sum));
        }
    }

    /// Whether the sums agree modulo a number of buckets. That number is in the header that is missing: it is one that
    /// is known, or else divides all differences. `None` where too few chains can be looked at.
    fn agreement(&self) -> Option<Check> {
        (self.looked_at_count >= LEAST_LINK_COUNT).then_some(())?;
        let agreeing_count = |bucket_count: u32| {
            self.differences.iter().filter(|difference| difference.is_multiple_of(bucket_count)).count()
        };
        let known = KNOWN_BUCKET_COUNTS.into_iter().max_by_key(|bucket_count| agreeing_count(*bucket_count))?;
        let divisor = self.differences.iter().copied().fold(0, greatest_common_divisor);
        let (count, modulo) = match divisor {
            // All sums are equal: each stack links to itself.
            0 => (self.differences.len(), "of any number of buckets".to_owned()),
            LEAST_BUCKET_COUNT.. if !divisor.is_multiple_of(known) => {
                (self.differences.len(), format!("of {divisor} buckets, or a divisor of that"))
            }
            _ => (agreeing_count(known), format!("of {known} buckets")),
        };
        // The others may lead to what is damaged together with the header; of other memory one in thousands would agree.
        let is_enough = count >= LEAST_LINK_COUNT && count >= self.looked_at_count.div_ceil(2);
        let looked_at_count = self.looked_at_count;
        Some(Check::new(
            format!(
                "hash chains lead to entries of the same bucket, {modulo} ({count} of {looked_at_count} looked at)"
            ),
            is_enough,
        ))
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}
