//! Finds the heap trace log of either width: zones by the records in their first pages, the header by its buckets.
//!
//! A zone is an allocation of exactly 64 KiB with records near its start. A header has 401 buckets whose first records
//! hash into them; it is looked for only where there are zones, in the first pages of each candidate and in all of the
//! first zones.

use rayon::prelude::*;

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::bytes;
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use super::entry::is_user_address;
use super::find::Hints;
use super::heap_log::{LogHeader, bucket_head};
use super::layouts::{HEAP_LOG_BUCKETS, HEAP_LOGS, HeapLogLayout, ZONE_BYTES};
use super::record::{Proof, RecordRule, range_with};
use super::{Check, FoundBy, StoreBody, StoreHeader, StoreKind};

/// How much is looked through for records, at an allocation's start and again where they begin behind a header there.
/// The largest record takes 140h bytes with what precedes it.
const RECORD_SEARCH_BYTES: u64 = 0x800;
/// A record of fewer frames can be a chance: a list head that points to itself reads as one of a single frame.
const LEAST_TELLING_DEPTH: u16 = 3;
/// Where the hash proves nothing, one record is not enough.
const UNPROVED_RECORD_COUNT: usize = 2;
/// How much of a candidate's start is looked through for a header.
const HEADER_SEARCH_BYTES: u64 = 0x2000;
/// Zones that are looked through as a whole, should the header not be found at a start.
const WHOLE_ZONE_COUNT: usize = 256;
/// Buckets whose first record is looked at.
const HEAD_SAMPLE_COUNT: usize = 64;

pub(super) fn find_heap_logs(
    memory: &dyn ReadMemory,
    candidates: &[VaRange],
    modules: &[VaRange],
    hints: &Hints,
    progress: &Progress,
    problems: &mut Problems,
) -> Result<Vec<StoreHeader>, Cancelled> {
    let zones = zones(memory, candidates, modules, progress)?;
    let mut stores = Vec::new();
    for layout in &HEAP_LOGS {
        let of_width = |proof: Proof| {
            zones.iter().filter(move |zone| zone.width == layout.width && zone.proof == proof).map(|zone| zone.range)
        };
        let proved: Vec<VaRange> = of_width(Proof::HashIsSum).collect();
        let (zones, proof) = if proved.is_empty() {
            (of_width(Proof::AddressesInModules).collect(), Proof::AddressesInModules)
        } else {
            (proved, Proof::HashIsSum)
        };
        let search = Search { memory, layout, candidates, modules, zones, proof, progress };
        let hint = hints.heap_log(layout.width).filter(|va| !va.is_null());
        stores.extend(search.store(hint, problems)?);
    }
    Ok(stores)
}

/// An allocation with records.
struct Zone {
    range: VaRange,
    width: PointerWidth,
    proof: Proof,
}

fn zones(
    memory: &dyn ReadMemory,
    candidates: &[VaRange],
    modules: &[VaRange],
    progress: &Progress,
) -> Result<Vec<Zone>, Cancelled> {
    let zone_at = |(index, range): (usize, &VaRange)| {
        if index & 0x3ff == 0 && progress.check().is_err() {
            return Some(Err(Cancelled));
        }
        (range.size_bytes() == ZONE_BYTES).then_some(())?;
        [Proof::HashIsSum, Proof::AddressesInModules].into_iter().find_map(|proof| {
            let layout = HEAP_LOGS.iter().find(|layout| {
                let rule = RecordRule { width: layout.width, proof, modules, homes: candidates };
                let places = [Some(range.start), range.start.checked_add(layout.header_bytes)];
                places.into_iter().flatten().any(|start| has_records(rule, start, memory))
            })?;
            Some(Ok(Zone { range: *range, width: layout.width, proof }))
        })
    };
    candidates.par_iter().enumerate().filter_map(zone_at).collect()
}

fn has_records(rule: RecordRule<'_>, start: Va, memory: &dyn ReadMemory) -> bool {
    let bytes = memory.bytes_at(start, RECORD_SEARCH_BYTES);
    let telling = rule.records(start.0, bytes).filter(|(_, record, _)| record.depth >= LEAST_TELLING_DEPTH);
    let wanted_count = match rule.proof {
        Proof::HashIsSum => 1,
        Proof::AddressesInModules if rule.modules.is_empty() => return false,
        Proof::AddressesInModules => UNPROVED_RECORD_COUNT,
    };
    telling.take(wanted_count).count() == wanted_count
}

struct Search<'s> {
    memory: &'s dyn ReadMemory,
    layout: &'static HeapLogLayout,
    candidates: &'s [VaRange],
    modules: &'s [VaRange],
    zones: Vec<VaRange>,
    proof: Proof,
    progress: &'s Progress,
}

/// A header, and how many of the looked-at buckets agree.
struct HeaderFound {
    va: Va,
    trace_count: u32,
    checked_count: usize,
    agreeing_count: usize,
}

impl Search<'_> {
    fn store(&self, hint: Option<Va>, problems: &mut Problems) -> Result<Option<StoreHeader>, Cancelled> {
        let by_symbol = hint.and_then(|va| self.header_at(va));
        if let Some(hint) = hint.filter(|_| by_symbol.is_none()) {
            problems.damage(
                format!("heap trace log {hint}"),
                "ntdll's pointer leads here, but nothing here reads as a log with records",
            );
        }
        let (header, found_by) = match by_symbol {
            Some(header) => (Some(header), FoundBy::Symbol),
            None if self.zones.is_empty() => return Ok(None),
            None => (self.search_header()?, FoundBy::Structure),
        };
        let mut zones = self.zones.clone();
        // The first segment of the zone need not be 64 KiB long; the header and the newest records tell where it is.
        for va in header.iter().flat_map(|header| self.heads(header.va).map(Va).chain([header.va])) {
            let home = range_with(self.candidates, va).map(|(_, home)| home);
            if let Some(home) = home.filter(|home| range_with(&zones, home.start).is_none()) {
                zones.push(home);
                zones.sort_unstable();
            }
        }
        let Some(base) = header.as_ref().map(|header| header.va).or_else(|| Some(zones.first()?.start)) else {
            return Ok(None);
        };
        let header_range = header.as_ref().map(|header| VaRange::from_size(header.va, self.layout.header_bytes));
        Ok(Some(StoreHeader {
            kind: StoreKind::HeapLog,
            width: self.layout.width,
            generation: None,
            base,
            reserved: header_range.unwrap_or(VaRange { start: base, end: base }),
            found_by: if header.is_some() { found_by } else { FoundBy::Records },
            evidence: self.evidence(header.as_ref(), &zones),
            counts: None,
            is_layout_from_pdb: false,
            body: StoreBody::HeapLog(LogHeader {
                header: header.as_ref().map(|header| header.va),
                trace_count: header.as_ref().map(|header| header.trace_count),
                proof: self.proof,
                modules: self.modules.to_vec(),
            }),
            zones,
        }))
    }

    fn evidence(&self, header: Option<&HeaderFound>, zones: &[VaRange]) -> Vec<Check> {
        let sized_count = zones.iter().filter(|zone| zone.size_bytes() == ZONE_BYTES).count();
        let mut checks = vec![
            Check {
                text: "the records' hash is the sum of their addresses".to_owned(),
                passed: (!zones.is_empty()).then_some(self.proof == Proof::HashIsSum),
            },
            Check::new(
                format!("zones are 64 KiB each ({sized_count} of {})", zones.len()),
                sized_count > 0 && sized_count.saturating_add(1) >= zones.len(),
            ),
        ];
        match header {
            Some(header) => checks.push(Check::new(
                format!(
                    "first records of buckets hash into them ({} of {} looked at)",
                    header.agreeing_count, header.checked_count
                ),
                header.agreeing_count == header.checked_count,
            )),
            None => checks.push(Check::new("a header with 401 buckets leads to the records", false)),
        }
        checks
    }

    /// First records of all buckets that have one.
    fn heads(&self, header: Va) -> impl Iterator<Item = u64> {
        (0..u64::from(HEAP_LOG_BUCKETS))
            .filter_map(move |bucket| bucket_head(self.memory, header, self.layout.width, bucket))
            .filter(|head| *head != 0)
    }

    fn search_header(&self) -> Result<Option<HeaderFound>, Cancelled> {
        let starts = self.candidates.iter().map(|range| (range.start, HEADER_SEARCH_BYTES.min(range.size_bytes())));
        let whole = self.zones.iter().take(WHOLE_ZONE_COUNT).map(|zone| (zone.start, zone.size_bytes()));
        for (index, (start, length)) in starts.chain(whole).enumerate() {
            if index & 0xff == 0 {
                self.progress.check()?;
            }
            let found = self.header_in(start, length);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// A header that begins within `length` bytes from `start` on.
    fn header_in(&self, start: Va, length: u64) -> Option<HeaderFound> {
        let bytes = self.memory.bytes_at(start, length.saturating_add(self.layout.header_bytes));
        let step = self.layout.width.bytes();
        (0..length.checked_div(step)?).find_map(|place| {
            let offset = place.checked_mul(step)?;
            self.may_be_header(bytes, offset).then_some(())?;
            self.header_at(start.checked_add(offset)?)
        })
    }

    /// The cheap part: a count, and two buckets that are empty or lead to a candidate.
    fn may_be_header(&self, bytes: &[u8], offset: u64) -> bool {
        let at = |field: u64| offset.checked_add(field);
        let count = at(self.layout.trace_count).and_then(|at| bytes::u32_at(bytes, at));
        let has_count = count.is_some_and(|count| count != 0);
        has_count
            && (0..4_u64).all(|slot| {
                let slot_offset =
                    slot.checked_mul(self.layout.width.bytes()).and_then(|s| self.layout.buckets.checked_add(s));
                let value = slot_offset.and_then(at).and_then(|at| match self.layout.width {
                    PointerWidth::Bits32 => bytes::u32_at(bytes, at).map(u64::from),
                    PointerWidth::Bits64 => bytes::u64_at(bytes, at),
                });
                value.is_some_and(|value| value == 0 || self.may_be_record(value))
            })
    }

    fn may_be_record(&self, va: u64) -> bool {
        let width = self.layout.width;
        is_user_address(va, width) && va.is_multiple_of(width.bytes()) && range_with(self.candidates, Va(va)).is_some()
    }

    /// The header at `va`: all buckets are empty or lead to a candidate, and of the first records that are looked at nine
    /// in ten hash into their bucket (a dump can catch a bucket in the midst of a change).
    fn header_at(&self, va: Va) -> Option<HeaderFound> {
        let width = self.layout.width;
        let trace_count = memory::u32_at(self.memory, va.checked_add(self.layout.trace_count)?)?;
        let rule = RecordRule { width, proof: self.proof, modules: self.modules, homes: self.candidates };
        let mut checked_count: usize = 0;
        let mut agreeing_count: usize = 0;
        for bucket in 0..u64::from(HEAP_LOG_BUCKETS) {
            let head = bucket_head(self.memory, va, width, bucket)?;
            if head == 0 {
                continue;
            }
            self.may_be_record(head).then_some(())?;
            if checked_count >= HEAD_SAMPLE_COUNT {
                continue;
            }
            let bytes = self.memory.bytes_at(Va(head), super::layouts::MAX_BLOCK_BYTES);
            if bytes.is_empty() {
                continue;
            }
            checked_count = checked_count.saturating_add(1);
            let hash = rule.read(bytes).map(|record| u64::from(record.hash));
            if hash.and_then(|hash| hash.checked_rem(u64::from(HEAP_LOG_BUCKETS))) == Some(bucket) {
                agreeing_count = agreeing_count.saturating_add(1);
            }
        }
        let needed_count = checked_count.saturating_sub(checked_count / 10);
        (checked_count > 0 && agreeing_count >= needed_count).then_some(HeaderFound {
            va,
            trace_count,
            checked_count,
            agreeing_count,
        })
    }
}
