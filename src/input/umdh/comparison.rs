//! A comparison of two raw logs, as `umdh BEFORE AFTER` writes it: one entry for each stack, and a total at the end.
//!
//! ```text
//! +  154944 ( 154944 -      0)      1 allocs<TAB>BackTrace9933FD81
//! +       1 (      1 -      0)<TAB>BackTrace9933FD81<TAB>allocations
//!
//! <TAB>ntdll!RtlAllocateHeap+A64
//!
//! Total increase == 865847 requested +  42969 overhead = 908816
//! ```
//!
//! Old versions have the first line alone. Whether its numbers are decimal is decided over the whole file (`radix`).

use serde::{Deserialize, Serialize};

use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};

use super::fields::{after, has_word, split_at_word, take_hex, trim, whole_hex};
use super::frames::{FrameId, FrameTable, Interned};
use super::lines::Line;
use super::noise::Noise;
use super::radix::{Evidence, Radix};
use super::{MAX_DEPTH, MAX_STACKS, Ticker, UmdhFile};

/// One stack in both logs. After minus before is the growth.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComparisonEntry {
    /// As the log writes it: `9933FD81` of `BackTrace9933FD81`.
    pub id: Box<str>,
    pub after_bytes: u64,
    pub before_bytes: u64,
    pub after_count: u64,
    /// `None` in the form with one line.
    pub before_count: Option<u64>,
    /// Innermost first; empty where the comparison has none.
    pub frames: Vec<FrameId>,
}

impl ComparisonEntry {
    pub fn bytes_delta(&self) -> i128 {
        i128::from(self.after_bytes).saturating_sub(i128::from(self.before_bytes))
    }

    pub fn count_delta(&self) -> Option<i128> {
        self.before_count.map(|before| i128::from(self.after_count).saturating_sub(i128::from(before)))
    }
}

/// The closing line, with its sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Totals {
    /// `None` in old versions, which have one number.
    pub requested_delta_bytes: Option<i128>,
    pub overhead_delta_bytes: Option<i128>,
    pub all_delta_bytes: i128,
}

/// What a comparison holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// In the order of the file.
    pub entries: Vec<ComparisonEntry>,
    pub frames: FrameTable,
    /// Of all entries, those left out too.
    pub entry_count: u64,
    pub sum_delta_bytes: i128,
    pub totals: Option<Totals>,
    pub radix: Radix,
    /// Why it is that one.
    pub radix_reason: String,
    pub left_out_entry_count: u64,
    pub problems: Problems,
}

impl Comparison {
    /// Whether the entries add up to the closing line; `None` where there is none.
    pub fn adds_up(&self) -> Option<bool> {
        let totals = self.totals?;
        Some(totals.requested_delta_bytes.unwrap_or(totals.all_delta_bytes) == self.sum_delta_bytes)
    }
}

/// `+ DELTA ( NEW - OLD) ...`, all numbers as read in hexadecimal.
#[derive(Clone, Copy)]
pub(super) struct Change {
    is_less: bool,
    delta: u64,
    after: u64,
    before: u64,
}

/// One of the two lines of an entry.
pub(super) enum EntryLine<'a> {
    Bytes { change: Change, count: u64, id: &'a [u8] },
    Counts { change: Change, id: &'a [u8] },
}

pub(super) fn entry_line(text: &[u8]) -> Option<EntryLine<'_>> {
    let (is_less, rest) = match text.split_first()? {
        (b'+', rest) => (false, rest),
        (b'-', rest) => (true, rest),
        _ => return None,
    };
    let (delta, rest) = take_hex(trim(rest))?;
    let (after_value, rest) = take_hex(trim(after(trim(rest), b"(")?))?;
    let (before, rest) = take_hex(trim(after(trim(rest), b"-")?))?;
    let change = Change { is_less, delta, after: after_value, before };
    let rest = trim(after(trim(rest), b")")?);
    if let Some(rest) = after(rest, b"BackTrace") {
        let (id, rest) = split_at_word(rest, b"\t").or_else(|| split_at_word(rest, b" "))?;
        return (trim(rest) == b"allocations" && is_id(id)).then_some(EntryLine::Counts { change, id });
    }
    let (count, rest) = take_hex(rest)?;
    let id = trim(after(trim(after(trim(rest), b"allocs")?), b"BackTrace")?);
    is_id(id).then_some(EntryLine::Bytes { change, count, id })
}

fn is_id(text: &[u8]) -> bool {
    whole_hex(text).is_some()
}

/// Reads all entries.
///
/// # Errors
/// Only when cancelled.
pub(super) fn read_comparison(file: &UmdhFile, progress: &Progress) -> Result<Comparison, Cancelled> {
    let mut reader = Reader::default();
    let mut lines = file.lines();
    let mut ticker = Ticker::new(progress);
    while let Some(line) = lines.next_line() {
        ticker.pass(line.offset.0)?;
        reader.take(&line);
    }
    Ok(reader.finish(file.file_bytes))
}

/// An entry with its numbers as read in hexadecimal.
struct Raw {
    line: u64,
    id: Box<str>,
    bytes: Change,
    count: u64,
    counts: Option<Change>,
    frames: Vec<FrameId>,
}

struct RawTotals {
    is_less: bool,
    requested: Option<u64>,
    overhead: Option<u64>,
    all: u64,
}

#[derive(Default)]
struct Reader {
    entries: Vec<Raw>,
    frames: FrameTable,
    totals: Option<RawTotals>,
    evidence: Evidence,
    problems: Problems,
    noise: Noise,
    entry_count: u64,
    left_out: LeftOut,
    has_full_frames: bool,
    is_after_damage: bool,
}

/// Sums of entries that are not kept, in both readings.
#[derive(Default)]
struct LeftOut {
    entry_count: u64,
    hexadecimal_bytes: i128,
    decimal_bytes: i128,
}

impl Reader {
    fn take(&mut self, line: &Line<'_>) {
        let text = trim(line.bytes);
        if line.is_piece {
            self.lose(line);
        } else if text.is_empty() {
        } else if let Some(entry) = entry_line(text) {
            self.noise.end(&mut self.problems);
            self.is_after_damage = false;
            self.take_entry(&entry, line.number);
        } else if let Some(totals) = totals_line(text) {
            self.noise.end(&mut self.problems);
            self.take_totals(totals);
        } else if text.starts_with(b"//") {
            self.noise.end(&mut self.problems);
        } else {
            self.take_frame(line, text);
        }
    }

    fn take_entry(&mut self, entry: &EntryLine<'_>, line: u64) {
        match entry {
            EntryLine::Bytes { change, count, id } => {
                self.note_change(*change);
                self.evidence.number(*count);
                self.entry_count = self.entry_count.saturating_add(1);
                self.shorten();
                let id = String::from_utf8_lossy(id).into();
                self.entries.push(Raw { line, id, bytes: *change, count: *count, counts: None, frames: Vec::new() });
            }
            EntryLine::Counts { change, id } => {
                self.note_change(*change);
                let last = self.entries.last_mut().filter(|last| last.id.as_bytes() == *id && last.counts.is_none());
                match last {
                    Some(last) => last.counts = Some(*change),
                    None => self.problems.damage(
                        format!("line {line}"),
                        "counts allocations of a stack whose bytes are not on the line before; left out",
                    ),
                }
            }
        }
    }

    fn note_change(&mut self, change: Change) {
        for number in [change.delta, change.after, change.before] {
            self.evidence.number(number);
        }
        let (small, large) = if change.is_less { (change.after, change.before) } else { (change.before, change.after) };
        self.evidence.sum(small, change.delta, large);
    }

    fn take_totals(&mut self, totals: RawTotals) {
        if let (Some(requested), Some(overhead)) = (totals.requested, totals.overhead) {
            self.evidence.sum(requested, overhead, totals.all);
        }
        for number in [totals.requested, totals.overhead, Some(totals.all)].into_iter().flatten() {
            self.evidence.number(number);
        }
        self.totals = Some(totals);
    }

    fn take_frame(&mut self, line: &Line<'_>, text: &[u8]) {
        let is_indented = line.bytes.first().is_some_and(|byte| matches!(byte, b'\t' | b' '));
        let may_be_frame = (is_indented || has_word(text, b"!")) && !self.is_after_damage;
        let Some(entry) = self.entries.last_mut().filter(|_| may_be_frame) else {
            self.lose(line);
            return;
        };
        match self.frames.intern(text) {
            Interned::Frame(id) if entry.frames.len() < MAX_DEPTH => entry.frames.push(id),
            Interned::Frame(_) => {}
            Interned::Full => self.has_full_frames = true,
            Interned::NoFrame => self.noise.broken(line, "no frame of a stack", &mut self.problems),
        }
    }

    fn lose(&mut self, line: &Line<'_>) {
        let is_cut_entry = has_word(line.bytes, b"BackTrace") || has_word(line.bytes, b" allocs");
        if is_cut_entry {
            // The frames that follow belong to it, not to the entry before.
            self.is_after_damage = true;
            self.noise.broken(line, "an entry that is cut or damaged", &mut self.problems);
        } else if self.is_after_damage && has_word(line.bytes, b"!") {
            self.noise.broken(line, "a frame of an entry that is cut or damaged", &mut self.problems);
        } else {
            self.noise.unknown(line, &mut self.problems);
        }
    }

    /// Of more entries than are kept, those that grew or shrank least go.
    fn shorten(&mut self) {
        if self.entries.len() < MAX_STACKS.saturating_mul(2) {
            return;
        }
        self.entries.sort_by_key(|entry| std::cmp::Reverse(entry.bytes.delta));
        for entry in self.entries.drain(MAX_STACKS..) {
            let in_radix = |radix: Radix| {
                let (after, before) = (radix.value(entry.bytes.after), radix.value(entry.bytes.before));
                i128::from(after).saturating_sub(i128::from(before))
            };
            self.left_out.entry_count = self.left_out.entry_count.saturating_add(1);
            let left_out = &mut self.left_out;
            left_out.hexadecimal_bytes = left_out.hexadecimal_bytes.saturating_add(in_radix(Radix::Hexadecimal));
            left_out.decimal_bytes = left_out.decimal_bytes.saturating_add(in_radix(Radix::Decimal));
        }
        self.entries.sort_by_key(|entry| entry.line);
    }

    fn finish(mut self, file_bytes: u64) -> Comparison {
        self.noise.end(&mut self.problems);
        let (radix, radix_reason, is_certain) = self.evidence.judge();
        let mut problems = self.problems;
        if !is_certain && self.entry_count > 0 {
            problems.missing("numbers", format!("taken as {}: {radix_reason}", radix.word()));
        }
        if self.totals.is_none() {
            let place = format!("end of the file (offset {file_bytes:#x})");
            problems.damage(place, "there is no closing line (Total increase == ...); the comparison is cut off");
        }
        if self.has_full_frames {
            problems.damage("stacks", "the log has more different frames than a program; some stacks are cut");
        }
        if self.left_out.entry_count > 0 {
            let text = format!("{} more than are kept; those with the largest change are", self.left_out.entry_count);
            problems.missing("entries", text);
        }
        let entries: Vec<ComparisonEntry> =
            self.entries.into_iter().map(|raw| in_radix(raw, radix, &mut problems)).collect();
        let signed = |is_less: bool, value: u64| {
            let value = i128::from(radix.value(value));
            if is_less { value.saturating_neg() } else { value }
        };
        let totals = self.totals.map(|totals| Totals {
            requested_delta_bytes: totals.requested.map(|value| signed(totals.is_less, value)),
            overhead_delta_bytes: totals.overhead.map(|value| signed(totals.is_less, value)),
            all_delta_bytes: signed(totals.is_less, totals.all),
        });
        let left_out_bytes = match radix {
            Radix::Hexadecimal => self.left_out.hexadecimal_bytes,
            Radix::Decimal => self.left_out.decimal_bytes,
        };
        let sum_delta_bytes = entries.iter().fold(left_out_bytes, |sum, entry| sum.saturating_add(entry.bytes_delta()));
        let mut comparison = Comparison {
            entries,
            frames: self.frames,
            entry_count: self.entry_count,
            sum_delta_bytes,
            totals,
            radix,
            radix_reason,
            left_out_entry_count: self.left_out.entry_count,
            problems,
        };
        if let (Some(false), Some(totals)) = (comparison.adds_up(), totals) {
            let stated = totals.requested_delta_bytes.unwrap_or(totals.all_delta_bytes);
            let text =
                format!("say {stated} bytes, and the entries add up to {sum_delta_bytes}; umdh may have left some out");
            comparison.problems.missing("closing totals", text);
        }
        comparison
    }
}

/// The numbers of an entry in their radix. Where growth is not what after and before say, after and before count.
fn in_radix(raw: Raw, radix: Radix, problems: &mut Problems) -> ComparisonEntry {
    let value = |number: u64| radix.value(number);
    let is_right = |change: &Change| {
        let (after, before, delta) = (value(change.after), value(change.before), value(change.delta));
        if change.is_less { after.checked_add(delta) == Some(before) } else { before.checked_add(delta) == Some(after) }
    };
    if !is_right(&raw.bytes) || raw.counts.as_ref().is_some_and(|counts| !is_right(counts)) {
        problems.damage(
            format!("line {}", raw.line),
            format!("BackTrace{}: its growth is not the difference of its two amounts, which are used", raw.id),
        );
    }
    ComparisonEntry {
        id: raw.id,
        after_bytes: value(raw.bytes.after),
        before_bytes: value(raw.bytes.before),
        after_count: value(raw.count),
        before_count: raw.counts.map(|counts| value(counts.before)),
        frames: raw.frames,
    }
}

/// `Total increase == 865847 requested +  42969 overhead = 908816`, and `Total increase == 5320` of old versions.
fn totals_line(text: &[u8]) -> Option<RawTotals> {
    let is_less = text.starts_with(b"Total decrease");
    let rest = after(text, b"Total increase ==").or_else(|| after(text, b"Total decrease =="))?;
    let (first, rest) = take_hex(trim(rest))?;
    let rest = trim(rest);
    if rest.is_empty() {
        return Some(RawTotals { is_less, requested: None, overhead: None, all: first });
    }
    let (overhead, rest) = take_hex(trim(after(trim(after(rest, b"requested")?), b"+")?))?;
    let (all, rest) = take_hex(trim(after(trim(after(trim(rest), b"overhead")?), b"=")?))?;
    rest.is_empty().then_some(RawTotals { is_less, requested: Some(first), overhead: Some(overhead), all })
}
