//! Stacks of the logs of one process side by side, with what each log has of them; dumps of the same process stand on the
//! same axis.
//!
//! Two stacks are one when all their frames are equal: return addresses in raw logs of one process. A stack whose log has
//! several candidates for one id, or none, is known by its id alone.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::addr::Va;
use crate::base::ids::{DumpIdx, LogIdx};
use crate::base::pairs;
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};
use crate::base::time::UtcTime;
use crate::input::umdh::frames::LogFrame;
use crate::input::umdh::{Amounts, Comparison, LogHeap, RawLog};

use super::shape::{Counted, Judgement, judge};
use super::stacks::{Coverage, SeriesStacks};

/// Stacks of a series that are kept apart: those that the last logs have, and in a log those with most bytes.
const MOST_STACKS: usize = 1 << 16;

/// Where on the axis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PointSource {
    Log(LogIdx),
    Dump(DumpIdx),
}

/// One moment of the series.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Point {
    pub source: PointSource,
    pub time: Option<UtcTime>,
    /// Whether it tells blocks and their bytes by stack. A log does; a dump where its heaps give them.
    pub blocks: Coverage,
    /// Whether it tells entries of the stack trace database by stack. A dump does.
    pub entries: Coverage,
    /// Of all stacks, those that are not kept too; zero where blocks are not known.
    pub total: Amounts,
}

/// What one point has of a stack; what it does not tell is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StackAmount {
    pub requested_bytes: Option<u64>,
    pub overhead_bytes: Option<u64>,
    pub block_count: Option<u64>,
    pub entry_count: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Cell {
    amounts: Amounts,
    entry_count: u64,
}

/// One stack.
#[derive(Debug, Serialize, Deserialize)]
pub struct JoinedStack {
    /// As the last log that has it names it.
    pub id: Box<str>,
    /// Numbers of its frames, innermost first; of each candidate where an id fits several.
    pub candidates: Vec<Box<[u32]>>,
    /// Its blocks by heap, in that log.
    pub by_heap: Vec<(Option<Va>, Amounts)>,
}

/// What is known of a raw log beside its stacks.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogFacts {
    pub log: LogIdx,
    pub heaps: Vec<LogHeap>,
    pub total: Amounts,
    pub has_overhead: bool,
    pub stack_count: u64,
    pub problems: Problems,
}

/// The logs of one process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct UmdhSeries {
    /// In time order; a raw log each, and dumps whose stacks are known.
    pub points: Vec<Point>,
    pub logs: Vec<LogFacts>,
    pub comparisons: Vec<(LogIdx, Arc<Comparison>)>,
    /// Those with most bytes in the last log first.
    pub stacks: Vec<JoinedStack>,
    frames: Vec<LogFrame>,
    /// One for each point of each stack.
    cells: Vec<Cell>,
    judgements: Vec<Option<Judgement>>,
    /// Ids that are not those of the last log.
    #[serde(with = "pairs")]
    other_ids: HashMap<(u32, u32), Box<str>>,
    /// The most stacks that one log has and that are not kept.
    pub left_out_stack_count: u64,
    has_overhead: bool,
}

impl UmdhSeries {
    /// The frames of a stack, innermost first: of its first candidate.
    pub fn frames(&self, stack: usize) -> impl Iterator<Item = &LogFrame> {
        self.stacks
            .get(stack)
            .and_then(|stack| stack.candidates.first())
            .into_iter()
            .flat_map(|ids| self.frames_of(ids))
    }

    /// The frames of one candidate.
    pub fn frames_of<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = &'a LogFrame> {
        ids.iter().filter_map(|id| self.frames.get(*id as usize))
    }

    /// All different frames.
    pub fn all_frames(&self) -> &[LogFrame] {
        &self.frames
    }

    pub fn amount(&self, stack: usize, point: usize) -> StackAmount {
        let cell = stack.checked_mul(self.points.len()).and_then(|start| self.cells.get(start.checked_add(point)?));
        let (Some(cell), Some(of)) = (cell, self.points.get(point)) else { return StackAmount::default() };
        // What a point with every stack has not, it has none of.
        let known = |coverage: Coverage, has_some: bool| match coverage {
            Coverage::None => false,
            Coverage::Part => has_some,
            Coverage::Whole => true,
        };
        let has_blocks = known(of.blocks, cell.amounts.block_count > 0);
        StackAmount {
            requested_bytes: has_blocks.then_some(cell.amounts.requested_bytes),
            overhead_bytes: (has_blocks && self.has_overhead).then_some(cell.amounts.overhead_bytes),
            block_count: has_blocks.then_some(cell.amounts.block_count),
            entry_count: known(of.entries, cell.entry_count > 0).then_some(cell.entry_count),
        }
    }

    /// Requested bytes at each point that tells them, in time order: what the shape is judged by.
    pub fn requested(&self, stack: usize) -> Vec<Option<u64>> {
        let with_blocks = self.points.iter().enumerate().filter(|(_, point)| point.blocks != Coverage::None);
        with_blocks.map(|(point, _)| self.amount(stack, point).requested_bytes).collect()
    }

    pub fn judgement(&self, stack: usize) -> Option<Judgement> {
        self.judgements.get(stack).copied().flatten()
    }

    /// How the sum over all stacks goes.
    pub fn judge_total(&self) -> Option<Judgement> {
        let with_blocks = self.points.iter().filter(|point| point.blocks != Coverage::None);
        judge(with_blocks.map(|point| Some(point.total.requested_bytes)), Counted::Requested)
    }

    /// The id that a log gives a stack.
    pub fn id_in(&self, stack: usize, point: usize) -> Option<&str> {
        let key = (u32::try_from(stack).ok()?, u32::try_from(point).ok()?);
        let own = || self.stacks.get(stack).map(|stack| &stack.id);
        self.other_ids.get(&key).or_else(own).map(|id| &**id)
    }

    pub fn point_of(&self, source: PointSource) -> Option<usize> {
        self.points.iter().position(|point| point.source == source)
    }

    /// The first and the last log.
    pub fn ends(&self) -> Option<(usize, usize)> {
        let is_log = |point: &Point| point.blocks != Coverage::None;
        Some((self.points.iter().position(is_log)?, self.points.iter().rposition(is_log)?))
    }

    pub fn has_damage(&self) -> bool {
        self.logs.iter().any(|log| log.problems.has_damage())
            || self.comparisons.iter().any(|(_, comparison)| comparison.problems.has_damage())
    }
}

/// Stacks are the same when the key is: the frames, or where these do not tell, the id.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Frames(Box<[u32]>),
    Id(Box<str>),
}

/// Joins logs one after the other; from the last one on, so that its stacks are kept when not all can be.
pub struct Joining {
    series: UmdhSeries,
    frame_ids: HashMap<LogFrame, u32>,
    positions: HashMap<Key, u32>,
}

impl Joining {
    /// `points` in time order, with nothing in them yet.
    pub fn new(points: Vec<(PointSource, Option<UtcTime>)>) -> Self {
        let empty = |(source, time)| Point {
            source,
            time,
            blocks: Coverage::None,
            entries: Coverage::None,
            total: Amounts::default(),
        };
        let points = points.into_iter().map(empty).collect();
        let series = UmdhSeries { points, ..UmdhSeries::default() };
        Self { series, frame_ids: HashMap::new(), positions: HashMap::new() }
    }

    /// Takes a raw log.
    ///
    /// # Errors
    /// Only when cancelled.
    pub fn add_log(&mut self, log: LogIdx, raw: RawLog, progress: &Progress) -> Result<(), Cancelled> {
        let Some(point) = self.series.point_of(PointSource::Log(log)) else { return Ok(()) };
        let mut left_out_count = raw.left_out_stack_count;
        let mut new_ids = HashMap::new();
        for (index, stack) in raw.stacks.iter().enumerate() {
            if index & 0xfff == 0 {
                progress.check()?;
            }
            let candidates: Vec<Box<[u32]>> = stack
                .candidates
                .iter()
                .map(|frames| {
                    let known = frames.iter().filter_map(|id| {
                        let known = new_ids.get(id).copied();
                        let made = || self.frame_id(raw.frames.frame(*id)?);
                        let series_id = known.or_else(made)?;
                        new_ids.insert(*id, series_id);
                        Some(series_id)
                    });
                    known.collect()
                })
                .collect();
            let by_heap = stack
                .by_heap
                .iter()
                .map(|(heap, amounts)| (raw.heaps.get(usize::from(*heap)).and_then(|heap| heap.base), *amounts));
            let joined = JoinedStack { id: stack.id.clone(), candidates, by_heap: by_heap.collect() };
            match self.position(joined) {
                Some(position) => self.add_blocks(position, point, &stack.id, stack.amounts),
                None => left_out_count = left_out_count.saturating_add(1),
            }
        }
        self.series.left_out_stack_count = self.series.left_out_stack_count.max(left_out_count);
        self.series.has_overhead |= raw.has_overhead;
        self.cover_blocks(point, left_out_count == 0, raw.total);
        let stack_count = (raw.stacks.len() as u64).saturating_add(raw.left_out_stack_count);
        let RawLog { heaps, total, has_overhead, problems, .. } = raw;
        self.series.logs.push(LogFacts { log, heaps, total, has_overhead, stack_count, problems });
        Ok(())
    }

    /// Says that a point tells the blocks of its stacks, and whether of all. Stacks of a dump's heaps come in by
    /// [`Self::add_stack`].
    pub fn cover_blocks(&mut self, point: usize, is_whole: bool, total: Amounts) {
        if let Some(point) = self.series.points.get_mut(point) {
            point.blocks = if is_whole { Coverage::Whole } else { Coverage::Part };
            point.total = total;
        }
    }

    /// Takes the blocks of one stack, known by its return addresses, at a point.
    pub fn add_stack(&mut self, point: usize, id: &str, frames: impl Iterator<Item = Va>, amounts: Amounts) {
        let frames: Option<Box<[u32]>> = frames.map(|va| self.frame_id(&LogFrame::of_address(va))).collect();
        let joined = JoinedStack { id: id.into(), candidates: frames.into_iter().collect(), by_heap: Vec::new() };
        if let Some(position) = self.position(joined) {
            self.add_blocks(position, point, id, amounts);
        }
    }

    /// Takes what a dump's trace stores have of the stacks that logs have. `dump` is its position in `stacks`.
    ///
    /// # Errors
    /// Only when cancelled.
    pub fn add_entries(
        &mut self,
        source: DumpIdx,
        stacks: &SeriesStacks,
        dump: usize,
        progress: &Progress,
    ) -> Result<(), Cancelled> {
        let Some(point) = self.series.point_of(PointSource::Dump(source)) else { return Ok(()) };
        let ids: Vec<Option<u32>> =
            stacks.addresses().iter().map(|va| self.frame_ids.get(&LogFrame::of_address(*va)).copied()).collect();
        let id_of = |position: usize| ids.get(position).copied().flatten();
        for stack in 0..stacks.len() {
            if stack & 0xfff == 0 {
                progress.check()?;
            }
            let Some(entry_count) = stacks.entry_count(stack, dump).filter(|count| *count > 0) else { continue };
            let frames: Option<Box<[u32]>> = stacks.frame_ids(stack).iter().map(|id| id_of(id.position())).collect();
            let position = frames.and_then(|frames| self.positions.get(&Key::Frames(frames)).copied());
            if let Some(cell) = position.and_then(|position| self.cell(position, point)) {
                cell.entry_count = cell.entry_count.saturating_add(entry_count);
            }
        }
        if let Some(point) = self.series.points.get_mut(point) {
            point.entries = stacks.coverage(dump);
        }
        Ok(())
    }

    pub fn add_comparison(&mut self, log: LogIdx, comparison: Comparison) {
        self.series.comparisons.push((log, Arc::new(comparison)));
    }

    fn frame_id(&mut self, frame: &LogFrame) -> Option<u32> {
        if let Some(id) = self.frame_ids.get(frame) {
            return Some(*id);
        }
        let id = u32::try_from(self.series.frames.len()).ok()?;
        self.series.frames.push(frame.clone());
        self.frame_ids.insert(frame.clone(), id);
        Some(id)
    }

    fn position(&mut self, joined: JoinedStack) -> Option<u32> {
        let key = match &joined.candidates[..] {
            [frames] => Key::Frames(frames.clone()),
            _ => Key::Id(joined.id.clone()),
        };
        if let Some(position) = self.positions.get(&key) {
            return Some(*position);
        }
        let position = u32::try_from(self.series.stacks.len()).ok()?;
        if self.series.stacks.len() >= MOST_STACKS {
            return None;
        }
        self.positions.insert(key, position);
        self.series.stacks.push(joined);
        let cell_count = self.series.cells.len().saturating_add(self.series.points.len());
        self.series.cells.resize(cell_count, Cell::default());
        Some(position)
    }

    fn cell(&mut self, position: u32, point: usize) -> Option<&mut Cell> {
        let start = (position as usize).checked_mul(self.series.points.len())?;
        self.series.cells.get_mut(start.checked_add(point)?)
    }

    fn add_blocks(&mut self, position: u32, point: usize, id: &str, amounts: Amounts) {
        if let Some(cell) = self.cell(position, point) {
            cell.amounts = cell.amounts.plus(amounts);
        }
        let own = self.series.stacks.get(position as usize).map(|stack| &*stack.id);
        if let Some(point) = u32::try_from(point).ok().filter(|_| own != Some(id)) {
            self.series.other_ids.insert((position, point), id.into());
        }
    }

    /// Judges all stacks and puts those with most bytes in the last log first.
    pub fn finish(mut self) -> UmdhSeries {
        let mut series = std::mem::take(&mut self.series);
        let point_count = series.points.len();
        let last = series.ends().map_or(0, |(_, last)| last);
        let mut order: Vec<usize> = (0..series.stacks.len()).collect();
        order.sort_by_key(|stack| (std::cmp::Reverse(series.amount(*stack, last).requested_bytes), *stack));
        let cells = order.iter().flat_map(|stack| {
            let start = stack.saturating_mul(point_count);
            series.cells.get(start..start.saturating_add(point_count)).unwrap_or_default().iter().copied()
        });
        let cells = cells.collect();
        let mut new_positions = vec![0_u32; order.len()];
        for (new, old) in order.iter().enumerate() {
            if let (Some(place), Ok(new)) = (new_positions.get_mut(*old), u32::try_from(new)) {
                *place = new;
            }
        }
        let mut stacks: Vec<Option<JoinedStack>> = std::mem::take(&mut series.stacks).into_iter().map(Some).collect();
        series.stacks = order.iter().filter_map(|old| stacks.get_mut(*old)?.take()).collect();
        series.cells = cells;
        let renumbered = std::mem::take(&mut series.other_ids).into_iter();
        series.other_ids = renumbered
            .filter_map(|((old, point), id)| Some(((*new_positions.get(old as usize)?, point), id)))
            .collect();
        series.judgements =
            (0..series.stacks.len()).map(|stack| judge(series.requested(stack), Counted::Requested)).collect();
        // They came in from the last one on.
        series.logs.reverse();
        series
    }
}
