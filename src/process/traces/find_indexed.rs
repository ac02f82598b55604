//! Tells whether an indexed database begins at an address, by its own structure.
//!
//! Mandatory, in the order of their price: CommitBase names the address itself; the two flags are 0 or 1; the limits are
//! in order and end on a page; there is a sensible number of buckets below the first entry; the first entries that the
//! dump has read as such. Not mandatory, but recorded: what a dump taken in the midst of a change can break (the count of
//! index pointers), and what is known of some versions only (the first entry's distance, the hash).

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::bytes;
use crate::base::memory::{self, ReadMemory};

use super::area::{Area, PAGE_BYTES};
use super::chain_sums::MAX_BUCKETS;
use super::entry::{EntryRule, Fault};
use super::frame_words::sum_of;
use super::indexed::{IndexedHeader, bucket_head};
use super::layouts::{DATABASES, DatabaseLayout, Generation, entry_frames_offset};
use super::{Check, FoundBy, Hints, IndexedCounts, StoreBody, StoreHeader, StoreKind};

/// All headers fit in this, their buckets not counted.
const HEADER_BYTES: u64 = 0x300;
/// Windows 10 and 11 reserve 128 MB at most, and the documents of older versions know no maximum. More than this was
/// not reserved by any of them.
pub(super) const MAX_RESERVED_BYTES: u64 = 16 << 30;
/// Entries that are read to tell whether these are entries.
const SAMPLE_COUNT: u64 = 48;
/// Buckets whose first entry is looked at, of all that have one.
const BUCKET_SAMPLE_COUNT: usize = 32;
/// Where the first entry is not in the header, it lies at most so far behind the last bucket.
const MAX_GAP_AFTER_BUCKETS: u64 = 0x40;

/// The header's fields as they stand there.
struct Fields {
    base: u64,
    pre_committed: u8,
    dump_in_progress: u8,
    lower_limit: u64,
    upper_limit: u64,
    next_free_lower: u64,
    next_free_upper: u64,
    looked_up_count: u32,
    added_count: u32,
    index_array: u64,
    bucket_count: u32,
    lower_start: Option<u64>,
}

/// The database at `base`. `extent_end` is the end of the allocation there, where it is known.
pub(super) fn database_at(
    memory: &dyn ReadMemory,
    base: Va,
    extent_end: Option<Va>,
    found_by: FoundBy,
    hints: &Hints,
) -> Option<StoreHeader> {
    let bytes = memory.bytes_at(base, HEADER_BYTES);
    let with = |layout: &DatabaseLayout| {
        let names_itself = pointer(bytes, layout.commit_base, layout.width)? == base.0;
        (names_itself && !base.is_null()).then_some(())?;
        read(memory, bytes, base, extent_end, layout, found_by)
    };
    // What ntdll's own PDB says comes before the tables.
    let from_pdb = hints.database_layouts().find_map(|layout| with(&layout));
    let proved = from_pdb.map(|header| StoreHeader { is_layout_from_pdb: true, ..header });
    proved.or_else(|| DATABASES.iter().find_map(with))
}

fn pointer(bytes: &[u8], offset: u64, width: PointerWidth) -> Option<u64> {
    match width {
        PointerWidth::Bits32 => bytes::u32_at(bytes, offset).map(u64::from),
        PointerWidth::Bits64 => bytes::u64_at(bytes, offset),
    }
}

fn fields(bytes: &[u8], base: Va, layout: &DatabaseLayout) -> Option<Fields> {
    let width = layout.width;
    let after_base = |count: u64| layout.commit_base.checked_add(width.bytes().checked_mul(count)?);
    let pointer_after_base = |count: u64| pointer(bytes, after_base(count)?, width);
    Some(Fields {
        base: base.0,
        pre_committed: bytes::u8_at(bytes, layout.pre_committed)?,
        dump_in_progress: bytes::u8_at(bytes, layout.pre_committed.checked_add(1)?)?,
        lower_limit: pointer_after_base(1)?,
        upper_limit: pointer_after_base(2)?,
        next_free_lower: pointer_after_base(3)?,
        next_free_upper: pointer_after_base(4)?,
        looked_up_count: bytes::u32_at(bytes, layout.looked_up_count)?,
        added_count: bytes::u32_at(bytes, layout.looked_up_count.checked_add(4)?)?,
        index_array: pointer(bytes, layout.index_array, width)?,
        bucket_count: bytes::u32_at(bytes, layout.bucket_count)?,
        lower_start: layout.lower_memory_start.and_then(|offset| pointer(bytes, offset, width)),
    })
}

impl Fields {
    fn is_pre_committed(&self) -> bool {
        self.pre_committed == 1
    }

    /// With everything committed in advance, the two commit limits are not set.
    fn is_in_order(&self) -> bool {
        let ends = [self.next_free_lower, self.lower_limit, self.upper_limit, self.next_free_upper, self.index_array];
        let committed_ends = [self.next_free_lower, self.next_free_upper, self.index_array];
        let is_sorted = if self.is_pre_committed() { committed_ends.is_sorted() } else { ends.is_sorted() };
        is_sorted
            && self.base < self.next_free_lower
            && self.index_array.is_multiple_of(PAGE_BYTES)
            && self.index_array.saturating_sub(self.base) <= MAX_RESERVED_BYTES
    }

    fn buckets_end(&self, layout: &DatabaseLayout) -> Option<u64> {
        let length = u64::from(self.bucket_count).checked_mul(layout.bucket_bytes)?;
        self.base.checked_add(layout.buckets)?.checked_add(length)
    }
}

fn read(
    memory: &dyn ReadMemory,
    bytes: &[u8],
    base: Va,
    extent_end: Option<Va>,
    layout: &DatabaseLayout,
    found_by: FoundBy,
) -> Option<StoreHeader> {
    let fields = fields(bytes, base, layout)?;
    (fields.pre_committed <= 1 && fields.dump_in_progress <= 1 && fields.is_in_order()).then_some(())?;
    (1..=MAX_BUCKETS).contains(&fields.bucket_count).then_some(())?;
    let buckets_end = fields.buckets_end(layout)?;
    let rule = first_entry(memory, &fields, buckets_end, layout)?;
    let header = IndexedHeader {
        rule,
        next_free_upper: Va(fields.next_free_upper),
        index_array: Va(fields.index_array),
        buckets: base.checked_add(layout.buckets)?,
        bucket_count: fields.bucket_count,
        bucket_bytes: layout.bucket_bytes,
    };
    let u32_field = |offset: Option<u64>| offset.and_then(|offset| bytes::u32_at(bytes, offset));
    let reserved = VaRange::new(base, Va(fields.index_array))?;
    let (lower_limit, upper_limit) = if fields.is_pre_committed() {
        (Va(fields.next_free_upper), Va(fields.next_free_upper))
    } else {
        (Va(fields.lower_limit), Va(fields.upper_limit))
    };
    let counts = IndexedCounts {
        lower_commit_limit: lower_limit,
        upper_commit_limit: upper_limit,
        looked_up_count: fields.looked_up_count,
        added_count: fields.added_count,
        allocated_count: u32_field(layout.allocated_count),
        failure_count: u32_field(layout.failure_count),
        bucket_count: fields.bucket_count,
        is_pre_committed: fields.is_pre_committed(),
    };
    Some(StoreHeader {
        kind: StoreKind::Indexed,
        width: layout.width,
        generation: Some(layout.generation),
        base,
        reserved,
        zones: Vec::new(),
        found_by,
        evidence: evidence(memory, &fields, &header, buckets_end, extent_end, layout),
        counts: Some(counts),
        body: StoreBody::Indexed(header),
        is_layout_from_pdb: false,
    })
}

/// Where entries begin and how blocks are rounded: the first choice under which the entries there read as such.
fn first_entry(
    memory: &dyn ReadMemory,
    fields: &Fields,
    buckets_end: u64,
    layout: &DatabaseLayout,
) -> Option<EntryRule> {
    let end = Va(fields.next_free_lower);
    let rule = |start: u64, alignment: u64| {
        let area = VaRange::new(Va(start), end)?;
        Some(EntryRule {
            width: layout.width,
            blocks: layout.blocks,
            alignment,
            is_alignment_certain: layout.generation == Generation::Seven,
            area,
            links: area,
        })
    };
    if layout.lower_memory_start.is_some() {
        let start = fields.lower_start.filter(|start| *start >= buckets_end)?;
        let [alignment] = layout.alignments else { return None };
        return rule(start, *alignment).filter(|rule| reads_as_entries(memory, rule) != Some(false));
    }
    // The first pointer of the index array, then whatever is near.
    let slot = fields.index_array.checked_sub(layout.width.bytes())?;
    let indexed = memory::pointer_at(memory, Va(slot), layout.width).map(|va| va.0);
    let last_start = buckets_end.checked_add(MAX_GAP_AFTER_BUCKETS)?;
    let near = (buckets_end..=last_start).step_by(4);
    let is_near = |start: &u64| (buckets_end..=last_start).contains(start) && *start <= end.0;
    let starts: Vec<u64> = indexed.into_iter().chain(near).filter(is_near).collect();
    let rules = || starts.iter().flat_map(|start| layout.alignments.iter().filter_map(|a| rule(*start, *a)));
    rules()
        .find(|rule| reads_as_entries(memory, rule) == Some(true))
        .or_else(|| rules().find(|rule| !rule.area.is_empty() && reads_as_entries(memory, rule).is_none()))
        .or_else(|| rules().find(|rule| rule.area.is_empty()))
}

/// Whether the first entries are such; `None` where there are none, or the dump has none of them.
fn reads_as_entries(memory: &dyn ReadMemory, rule: &EntryRule) -> Option<bool> {
    let sample_end = rule.area.start.0.saturating_add(SAMPLE_COUNT.saturating_mul(super::layouts::MAX_BLOCK_BYTES));
    let sample = VaRange { start: rule.area.start, end: rule.area.end.min(Va(sample_end)) };
    let area = Area::new(memory, sample);
    let mut at = rule.area.start.0;
    let mut read_count: u64 = 0;
    while at < rule.area.end.0 && read_count < SAMPLE_COUNT {
        match rule.read_doubted(at, &area.entry_bytes(at)) {
            Ok(entry) => at = at.saturating_add(entry.block_bytes),
            Err(Fault::NotInDump) => break,
            Err(_) => return Some(false),
        }
        read_count = read_count.saturating_add(1);
    }
    (read_count > 0).then_some(true)
}

fn evidence(
    memory: &dyn ReadMemory,
    fields: &Fields,
    header: &IndexedHeader,
    buckets_end: u64,
    extent_end: Option<Va>,
    layout: &DatabaseLayout,
) -> Vec<Check> {
    let start = header.rule.area.start;
    let pointer_bytes = fields.index_array.saturating_sub(fields.next_free_upper);
    let counted_bytes = u64::from(fields.added_count).saturating_mul(layout.width.bytes());
    let mut checks = vec![
        Check::new("CommitBase is the header's own address, PreCommitted and DumpInProgress are 0 or 1", true),
        Check::new("the limits are in order and end on a page", true),
        Check::new(
            format!("the index array holds as many pointers as were added ({})", fields.added_count),
            pointer_bytes == counted_bytes,
        ),
        match layout.gap_after_buckets {
            Some(gap) => Check::new(
                format!("the first entry follows the {} buckets", fields.bucket_count),
                buckets_end.saturating_add(gap) == start.0,
            ),
            None => Check::new(format!("{} buckets fit below the first entry", fields.bucket_count), true),
        },
        Check {
            text: "the first entries read as entries, block by block".to_owned(),
            passed: reads_as_entries(memory, &header.rule),
        },
        Check {
            text: "first entries of buckets have the bucket's hash".to_owned(),
            passed: heads_have_their_hash(memory, header),
        },
    ];
    if let Some(end) = extent_end {
        checks.push(Check::new("the allocation ends where the index array begins", end.0 == fields.index_array));
    }
    checks
}

/// Whether the entries at the heads of buckets hash into them; `None` where no head can be looked at.
fn heads_have_their_hash(memory: &dyn ReadMemory, header: &IndexedHeader) -> Option<bool> {
    let heads = (0..header.bucket_count)
        .filter_map(|bucket| Some((bucket, bucket_head(memory, header, bucket.into())?)))
        .filter(|(_, head)| *head != 0)
        .take(BUCKET_SAMPLE_COUNT);
    let mut passed = None;
    for (bucket, head) in heads {
        let room_bytes = header.rule.area.end.0.saturating_sub(head);
        let bytes = memory.bytes_at(Va(head), room_bytes.min(super::layouts::MAX_BLOCK_BYTES));
        if (bytes.len() as u64) < entry_frames_offset(header.rule.width) {
            continue;
        }
        let has_it = header.rule.read(head, bytes).is_ok_and(|entry| {
            let sum = sum_of(header.rule.frames(&entry, bytes), header.rule.width);
            header.rule.may_begin_at(head) && sum.checked_rem(header.bucket_count) == Some(bucket)
        });
        if !has_it {
            return Some(false);
        }
        passed = Some(true);
    }
    passed
}
