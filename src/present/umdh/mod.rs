//! UMDH logs as sentences, tables and stacks.

pub mod comparison_table;
pub mod frame_filter;
pub mod log_table;
pub mod stack_table;

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::shape::{Judgement, Shape};
use crate::analysis::series::umdh_group::{Log, LogGroup, Zone};
use crate::analysis::series::umdh_join::{PointSource, UmdhSeries};
use crate::analysis::series::umdh_names::UmdhNames;
use crate::base::ids::DumpIdx;
use crate::base::time::UtcTime;
use crate::base::units::{ByteDelta, ByteSize, grouped};
use crate::input::umdh::Comparison;
use crate::input::umdh::frames::LogFrame;

use super::traces::leading::SkipRules;
use super::value::ABSENT_TEXT;

/// How to get logs worth opening. `+ust` takes effect when the program is started the next time.
pub const UMDH_LINES: [(&str, &str); 4] = [
    ("gflags /i IMAGE.exe +ust", "keep the stack of each allocation, then start the program again"),
    ("set OANOCACHE=1", "before it starts: no cache for BSTRs, which would hide who leaks them"),
    ("umdh -p:PID -f:log1.txt", "a log; take several, an hour apart, while the program grows, and a dump with each"),
    ("gflags /i IMAGE.exe -ust", "switch it off afterwards: it costs memory and time in every allocation"),
];

/// The badge of a shape.
pub const fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Growth => "Leak",
        Shape::Step => "Step",
        Shape::Plateau => "Plateau",
        Shape::Fluctuation => "Fluctuation",
        Shape::Shrinking => "Shrinking",
        Shape::Steady => "Constant",
        Shape::Undecided => "Undecided",
    }
}

/// What a shape means.
pub const fn shape_hint(shape: Shape) -> &'static str {
    match shape {
        Shape::Growth => "grows in at least 80 % of the intervals",
        Shape::Step => "grew once, by at least 90 % of all its change",
        Shape::Plateau => "grew, and then stayed",
        Shape::Fluctuation => "rises and falls: what is left is under 30 % of its range, or it turned at least twice",
        Shape::Shrinking => "is less in the end",
        Shape::Steady => "is the same in every log",
        Shape::Undecided => "has no clear shape, or too few logs: three are needed",
    }
}

/// `leak`, as the JSON report has it.
pub const fn shape_key(shape: Shape) -> &'static str {
    match shape {
        Shape::Growth => "leak",
        Shape::Step => "step",
        Shape::Plateau => "plateau",
        Shape::Fluctuation => "fluctuation",
        Shape::Shrinking => "shrinking",
        Shape::Steady => "constant",
        Shape::Undecided => "undecided",
    }
}

/// `log 2` or `dump 3`.
pub fn point_name(source: PointSource) -> String {
    match source {
        PointSource::Log(log) => format!("log {log}"),
        PointSource::Dump(dump) => format!("dump {dump}"),
    }
}

/// `log 2 · 05-12 12:04`.
pub fn point_label(source: PointSource, time: Option<UtcTime>) -> String {
    let time = time.map_or_else(|| "no time".to_owned(), UtcTime::day_clock_text);
    format!("{} · {time}", point_name(source))
}

/// When a log was taken, and how sure that is.
pub fn time_text(log: &Log) -> String {
    let local = || log.time.local.map_or_else(|| "no time".to_owned(), |time| time.table_text());
    match (log.time.utc, log.time.zone) {
        (None, _) => "no time".to_owned(),
        (Some(utc), Zone::Utc) => format!("{} UTC", utc.table_text()),
        (Some(utc), Zone::OfDump { .. }) => {
            format!("{} UTC (local {}, zone from a dump)", utc.table_text(), local())
        }
        (Some(_), Zone::Unknown) => format!("{} local time, zone not known", local()),
    }
}

/// A group of logs in words: `AllocFree.exe (pid 21428)`.
pub fn group_name(group: &LogGroup) -> String {
    let image = group.identity.image.as_deref().unwrap_or("unknown program");
    group.identity.pid.map_or_else(|| image.to_owned(), |pid| format!("{image} (pid {pid})"))
}

/// The two points that are compared: those nearest to two dumps, else the first and the last log.
pub fn compared_points(
    analysis: &Analysis,
    series: &UmdhSeries,
    dumps: Option<(DumpIdx, DumpIdx)>,
) -> Option<(usize, usize)> {
    let ends = series.ends()?;
    let time_of = |dump: DumpIdx| analysis.snapshot(dump).and_then(|snapshot| snapshot.time());
    let nearest = |time: UtcTime| {
        let logs = series.points.iter().enumerate().filter(|(_, point)| matches!(point.source, PointSource::Log(_)));
        let distances = logs.filter_map(|(at, point)| Some((point.time?.ns_since(time).unsigned_abs(), at)));
        distances.min().map(|(_, at)| at)
    };
    let chosen = dumps.and_then(|(from, to)| Some((nearest(time_of(from)?)?, nearest(time_of(to)?)?)));
    Some(chosen.filter(|(from, to)| from < to).unwrap_or(ends))
}

/// What the logs of a process say, in one sentence each.
pub fn series_lines(series: &UmdhSeries) -> Vec<String> {
    let mut lines = Vec::new();
    let log_count = series.logs.len();
    if log_count > 0 {
        let stack_count = (series.stacks.len() as u64).saturating_add(series.left_out_stack_count);
        let mut text = format!("{} in {}", counted(stack_count, "stack"), counted(log_count as u64, "log"));
        let shapes = shape_counts(series);
        if shapes.is_empty() {
            text.push_str("; three logs are needed to tell a leak from a fluctuation");
        } else {
            text.push_str(&format!(": {}", shapes.join(", ")));
        }
        lines.push(text);
    }
    if let Some(judgement) = series.judge_total() {
        lines.push(format!("all blocks together: {}", judgement_text(&judgement)));
    }
    if series.left_out_stack_count > 0 {
        let count = grouped(series.left_out_stack_count);
        lines.push(format!("{count} stacks with fewer bytes are counted in the totals and not listed"));
    }
    lines
}

/// `1 stack`, `20 stacks`.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(count)) }
}

/// `3 leak`, `1 fluctuates`; empty where no stack has a shape.
fn shape_counts(series: &UmdhSeries) -> Vec<String> {
    let judged = || (0..series.stacks.len()).filter_map(|stack| series.judgement(stack));
    let has_shapes = judged().any(|judgement| judgement.interval_count >= 2);
    let words = [
        (Shape::Growth, "leaks", "leak"),
        (Shape::Step, "grew in a step", "grew in a step"),
        (Shape::Plateau, "grew and stayed", "grew and stayed"),
        (Shape::Fluctuation, "fluctuates", "fluctuate"),
        (Shape::Shrinking, "shrinks", "shrink"),
        (Shape::Steady, "is constant", "are constant"),
        (Shape::Undecided, "is undecided", "are undecided"),
    ];
    let texts = words.into_iter().filter(|_| has_shapes).filter_map(|(shape, of_one, of_several)| {
        let count = judged().filter(|judgement| judgement.shape == shape).count();
        // That none leaks is the answer to the question that logs are taken for.
        match (count, shape) {
            (0, Shape::Growth) => Some("none leaks".to_owned()),
            (0, _) => None,
            (1, _) => Some(format!("1 {of_one}")),
            _ => Some(format!("{} {of_several}", grouped(count as u64))),
        }
    });
    texts.collect()
}

/// `Fluctuation: net -1.2 KB of a range of 40.0 KB, grew in 3 of 5 intervals, turned 3 times`.
pub fn judgement_text(judgement: &Judgement) -> String {
    let Judgement { shape, net_bytes, peak_to_peak_bytes, sign_change_count, growing_interval_count, interval_count } =
        judgement;
    let net = ByteDelta(*net_bytes);
    if *interval_count < 2 {
        return format!("{net} from the first to the last; three logs are needed to tell a leak from a fluctuation");
    }
    let turns = match sign_change_count {
        0 => "never turned".to_owned(),
        1 => "turned once".to_owned(),
        count => format!("turned {count} times"),
    };
    format!(
        "{}: net {net} of a range of {}, grew in {growing_interval_count} of {interval_count} intervals, {turns}",
        shape_name(*shape),
        ByteSize(*peak_to_peak_bytes)
    )
}

/// What a comparison says, in one sentence each.
pub fn comparison_lines(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    let entries = counted(comparison.entry_count, "stack");
    let mut text = format!("one interval: {entries} changed by {} bytes", signed(comparison.sum_delta_bytes));
    if let Some(totals) = comparison.totals {
        let stated = totals.requested_delta_bytes.unwrap_or(totals.all_delta_bytes);
        let adds_up = if comparison.adds_up() == Some(true) {
            ", as its closing line says".to_owned()
        } else {
            format!("; its closing line says {}", signed(stated))
        };
        text.push_str(&adds_up);
        if let Some(overhead) = totals.overhead_delta_bytes {
            text.push_str(&format!(" ({} bytes of overhead with it)", signed(overhead)));
        }
    } else {
        text.push_str("; it has no closing line");
    }
    lines.push(text);
    lines.push(format!("its numbers are {}: {}", comparison.radix.word(), comparison.radix_reason));
    lines
}

fn signed(value: i128) -> String {
    let sign = match value.signum() {
        1 => "+",
        -1 => "-",
        _ => "",
    };
    format!("{sign}{}", grouped(u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX)))
}

/// Names and rules for the frames of one process's logs.
#[derive(Clone)]
pub struct UmdhNaming {
    pub names: Arc<UmdhNames>,
    pub rules: Arc<SkipRules>,
}

impl UmdhNaming {
    /// The first frame, from the inside, that no rule passes over; the innermost where nothing is left.
    pub fn leading<'a>(&self, frames: impl Iterator<Item = &'a LogFrame>) -> Option<&'a LogFrame> {
        let mut innermost = None;
        for frame in frames {
            innermost = innermost.or(Some(frame));
            if self.names.name_of(frame).is_some_and(|name| !self.rules.skips(&name)) {
                return Some(frame);
            }
        }
        innermost
    }

    pub fn leading_text<'a>(&self, frames: impl Iterator<Item = &'a LogFrame>) -> Option<String> {
        self.leading(frames).map(|frame| self.names.frame_text(frame))
    }

    /// Whether the rules pass over a frame, or it has no name.
    pub fn is_passed_over(&self, frame: &LogFrame) -> bool {
        self.names.name_of(frame).is_none_or(|name| self.rules.skips(&name))
    }

    /// A frame as a line: its address where it has one, its name, its source line.
    pub fn frame_line(&self, frame: &LogFrame) -> String {
        let address = frame.address.map(|va| va.windbg(self.names.pointer_width()));
        let name = self.names.frame_text(frame);
        let mut line = match address {
            Some(address) if address == name => address,
            Some(address) => format!("{address} {name}"),
            None => name,
        };
        if let Some(source) = &frame.source {
            line.push_str(&format!(" ({}, {})", source.file, source.line));
        }
        line
    }
}

/// One stack of the logs as text, with what each point has of it.
pub fn stack_text(series: &UmdhSeries, naming: &UmdhNaming, stack: usize) -> String {
    let Some(joined) = series.stacks.get(stack) else { return String::new() };
    let mut text = format!("BackTrace{}\n", joined.id);
    for (position, point) in series.points.iter().enumerate() {
        text.push_str(&format!(
            "  {:<24} {}\n",
            point_label(point.source, point.time),
            amount_text(series, stack, position)
        ));
    }
    if let Some(judgement) = series.judgement(stack) {
        text.push_str(&format!("  {}\n", judgement_text(&judgement)));
    }
    for (position, candidate) in joined.candidates.iter().enumerate() {
        if joined.candidates.len() > 1 {
            text.push_str(&format!("candidate {} of {}\n", position + 1, joined.candidates.len()));
        }
        for frame in series.frames_of(candidate) {
            text.push_str(&format!("    {}\n", naming.frame_line(frame)));
        }
    }
    text
}

/// `12.0 KB in 3 blocks`, or what a dump has: `7,443 entries of the database`.
pub fn amount_text(series: &UmdhSeries, stack: usize, point: usize) -> String {
    let amount = series.amount(stack, point);
    match (amount.requested_bytes, amount.block_count, amount.entry_count) {
        (Some(bytes), Some(count), _) => format!("{} in {}", ByteSize(bytes), counted(count, "block")),
        (_, _, Some(1)) => "1 entry of the database".to_owned(),
        (_, _, Some(count)) => format!("{} entries of the database", grouped(count)),
        _ => ABSENT_TEXT.to_owned(),
    }
}
