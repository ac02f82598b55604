//! Builds facts of a series, one dump an hour, and checks one pattern against them.

use dumptrend::analysis::diagnosis::evidence::Strength;
use dumptrend::analysis::diagnosis::facts::{
    DumpFacts, ExceptionFacts, HeapDamage, HeapFacts, SeriesFacts, StackUse, StoreFacts, SystemCommit, ThreadFacts,
    ThreadTotals, TraceFacts, UseFacts,
};
use dumptrend::analysis::diagnosis::pattern::PatternId;
use dumptrend::analysis::diagnosis::{Confidence, Finding, PATTERNS, Verdict};
use dumptrend::analysis::series::growth::Values;
use dumptrend::analysis::series::handles::{HandleHistory, SeriesHandles};
use dumptrend::analysis::series::thread_doing::Doing;
use dumptrend::analysis::series::threads::CpuSpent;
use dumptrend::base::addr::{PointerWidth, Va, VaRange};
use dumptrend::base::ids::DumpIdx;
use dumptrend::base::time::UtcTime;
use dumptrend::process::heap::head::HeapKind;
use dumptrend::process::regions::usage::Usage;
use dumptrend::process::traces::{FoundBy, StoreKind};

use crate::support::build_dump::NEW_YEAR_UNIX_SECONDS;

pub const MB: u64 = 1 << 20;
pub const HOUR_NS: u64 = 3_600_000_000_000;

/// What a case shows of its pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Found,
    /// Looks like it and is not, or not yet.
    NearMiss,
    RuledOut,
    /// What a series cannot decide.
    Open,
}

/// Facts and the verdict on them.
#[derive(Clone)]
pub struct Case {
    pub pattern: PatternId,
    pub kind: Kind,
    pub series: Series,
    pub verdict: Verdict,
    /// Of what was found.
    pub confidence: Option<Confidence>,
    /// A part of the summary.
    pub says: &'static str,
}

impl Case {
    /// What is wrong with the finding; `None` when it is as wanted.
    pub fn fault(&self) -> Option<String> {
        let finding = judge_one(&self.series.facts, self.pattern);
        let has_evidence = finding.evidence.iter().any(|evidence| evidence.strength != Strength::Against);
        let is_complete = match finding.verdict {
            Verdict::Found | Verdict::RuledOut => !finding.refuted_by.is_empty() && has_evidence,
            Verdict::Undecided => finding.confidence().is_none(),
        };
        let dump_count = self.series.facts.dumps.len();
        let faults = [
            (finding.verdict != self.verdict, "another verdict"),
            (!finding.summary.contains(self.says), "another summary"),
            (self.confidence.is_some() && finding.confidence() != self.confidence, "another confidence"),
            (!is_complete, "no evidence, or nothing that would refute it"),
            (finding.evidence.iter().any(|evidence| evidence.text.is_empty()), "an empty line"),
            (
                finding.evidence.iter().any(|evidence| evidence.dump.is_some_and(|dump| dump.0 >= dump_count)),
                "a dump that is not there",
            ),
        ];
        let found: Vec<&str> = faults.iter().filter(|(is_fault, _)| *is_fault).map(|(_, text)| *text).collect();
        let wanted = (self.pattern, self.kind, self.verdict, self.confidence, self.says);
        let given = (finding.verdict, finding.confidence(), &finding.summary);
        (!found.is_empty()).then(|| format!("{}: wanted {wanted:?}, given {given:?}", found.join(", ")))
    }
}

/// A case whose verdict follows from its kind: what is found is found, what is ruled out is ruled out, the rest is undecided.
pub fn case(pattern: PatternId, kind: Kind, series: Series, says: &'static str) -> Case {
    let verdict = match kind {
        Kind::Found => Verdict::Found,
        Kind::RuledOut => Verdict::RuledOut,
        Kind::NearMiss | Kind::Open => Verdict::Undecided,
    };
    Case { pattern, kind, series, verdict, confidence: None, says }
}

impl Case {
    pub fn sure(self, confidence: Confidence) -> Self {
        Self { confidence: Some(confidence), ..self }
    }

    /// For a near miss that the numbers rule out.
    pub fn gives(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }
}

pub fn judge_one(facts: &SeriesFacts, pattern: PatternId) -> Finding {
    let pattern = PATTERNS.iter().find(|other| other.id == pattern).expect("a pattern");
    (pattern.judge)(facts)
}

/// Facts in the making. A new one is a process of which everything is known, and nothing is wrong.
#[derive(Clone)]
pub struct Series {
    pub facts: SeriesFacts,
}

fn values(of: &[u64]) -> Values {
    Values(of.iter().copied().map(Some).collect())
}

fn steady(value: u64, count: usize) -> Values {
    values(&vec![value; count])
}

impl Series {
    pub fn new(count: usize) -> Self {
        let dumps = (0..count).map(dump_facts).collect();
        let mut facts = SeriesFacts {
            dumps,
            heaps: Some(Vec::new()),
            traces: Some(TraceFacts::default()),
            stacks_in_use: Some(Vec::new()),
            are_stacks_unwound: true,
            handles: SeriesHandles { total: steady(200, count), types: Vec::new() },
            ..SeriesFacts::default()
        };
        facts.memory.committed = steady(30 * MB, count);
        facts.memory.private = steady(20 * MB, count);
        facts.memory.uses =
            Usage::IN_USE.map(|usage| UseFacts { usage, committed: steady(0, count), is_comparable: true }).to_vec();
        let series = Self { facts };
        series
            .with_use(Usage::Unknown, &vec![MB; count])
            .with_heap(0x10_0000, &vec![10 * MB; count])
            .with_thread(0x88, &vec![0; count.saturating_sub(1)])
    }

    fn count(&self) -> usize {
        self.facts.dumps.len()
    }

    /// As a stage sees them that runs before heaps, traces and threads are decoded.
    pub fn facts_before_decoding(mut self) -> SeriesFacts {
        self.facts.heaps = None;
        self.facts.traces = None;
        self.facts.stacks_in_use = None;
        self.facts.are_stacks_unwound = false;
        for thread in &mut self.facts.threads {
            thread.doing.fill(None);
            thread.lock_wait.fill(None);
        }
        self.facts
    }

    pub fn each_dump(mut self, change: impl Fn(usize, &mut DumpFacts)) -> Self {
        self.facts.dumps.iter_mut().enumerate().for_each(|(at, dump)| change(at, dump));
        self
    }

    /// Committed and private memory.
    pub fn with_private(mut self, bytes: &[u64]) -> Self {
        self.facts.memory.private = values(bytes);
        self.facts.memory.committed = Values(bytes.iter().map(|bytes| Some(bytes + 10 * MB)).collect());
        self
    }

    pub fn with_use(mut self, usage: Usage, bytes: &[u64]) -> Self {
        let of_use = self.facts.memory.uses.iter_mut().find(|facts| facts.usage == usage).expect("a use");
        of_use.committed = values(bytes);
        self
    }

    /// Replaces a heap at the same place.
    pub fn with_heap(mut self, base: u64, committed: &[u64]) -> Self {
        let count = self.count();
        let heaps = self.facts.heaps.get_or_insert_default();
        heaps.retain(|heap| heap.base != Va(base));
        heaps.push(HeapFacts {
            base: Va(base),
            width: PointerWidth::Bits64,
            kind: HeapKind::Nt,
            committed: values(committed),
            in_use: Values(vec![None; count]),
            lock_contention: steady(0, count),
            damage: vec![Some(HeapDamage::default()); count],
        });
        self
    }

    pub fn each_heap(mut self, change: impl Fn(&mut HeapFacts)) -> Self {
        self.facts.heaps.iter_mut().flatten().for_each(change);
        self
    }

    /// A thread with the CPU time that it used in each interval, in hundredths of a core.
    pub fn with_thread(mut self, tid: u32, hundredths: &[u64]) -> Self {
        let count = self.count();
        let spent = |hundredths: u64| CpuSpent { user_ns: hundredths * HOUR_NS / 100, kernel_ns: 0 };
        let mut sum_ns = 0;
        let mut totals = vec![ThreadTotals { user_ns: 0, kernel_ns: 0, elapsed_ns: Some(HOUR_NS) }];
        for (interval, part) in hundredths.iter().enumerate() {
            sum_ns += spent(*part).user_ns;
            totals.push(ThreadTotals {
                user_ns: sum_ns,
                kernel_ns: 0,
                elapsed_ns: Some((interval as u64 + 2) * HOUR_NS),
            });
        }
        self.facts.threads.retain(|thread| thread.tid != tid);
        self.facts.threads.push(ThreadFacts {
            tid,
            name: None,
            start: Some("app!worker".to_owned()),
            is_present: vec![true; count],
            cpu_per_interval: hundredths.iter().map(|part| Some(spent(*part))).collect(),
            totals: totals.into_iter().map(Some).take(count).collect(),
            doing: vec![Some(Doing::Waiting); count],
            lock_wait: vec![None; count],
            stack: vec![
                Some(StackUse {
                    reserved_bytes: MB,
                    uncommitted_bytes: MB - 0x4000,
                    frame_count: 20,
                    repeated_count: 1
                });
                count
            ],
        });
        self
    }

    pub fn each_thread(mut self, change: impl Fn(&mut ThreadFacts)) -> Self {
        self.facts.threads.iter_mut().for_each(change);
        self
    }

    pub fn with_handles(mut self, type_name: &str, counts: &[u64]) -> Self {
        self.facts.handles.total = values(counts);
        self.facts.handles.types = vec![HandleHistory { type_name: type_name.to_owned(), counts: values(counts) }];
        self
    }

    /// gflags +ust is set, and there is a store.
    pub fn with_ust(self) -> Self {
        self.each_dump(|_, dump| {
            dump.nt_global_flag = Some(0x1000);
            dump.store_count = 1;
        })
    }

    /// An indexed database of 24 MB that has so many bytes committed, as many of them used, in each dump.
    pub fn with_database(self, committed: &[u64]) -> Self {
        let reserved = 24 * MB;
        self.with_ust().with_use(Usage::StackTraceDatabase, committed).with_store(store(
            StoreKind::Indexed,
            Some(reserved),
            committed,
        ))
    }

    /// A heap trace log, which has no limit.
    pub fn with_log(self, committed: &[u64]) -> Self {
        self.with_ust().with_use(Usage::StackTraceDatabase, committed).with_store(store(
            StoreKind::HeapLog,
            None,
            committed,
        ))
    }

    fn with_store(mut self, store: StoreFacts) -> Self {
        self.facts.traces = Some(TraceFacts { stores: vec![store], growth: None });
        self
    }

    pub fn with_exception(self, code: u32) -> Self {
        self.each_dump(|_, dump| dump.exception = Some(ExceptionFacts { tid: 0x88, code }))
    }

    pub fn with_commit(self, committed_bytes: u64, limit_bytes: u64) -> Self {
        self.each_dump(|_, dump| dump.system_commit = Some(SystemCommit { committed_bytes, limit_bytes }))
    }
}

fn store(kind: StoreKind, reserved_bytes: Option<u64>, committed: &[u64]) -> StoreFacts {
    let count = committed.len();
    let room = |committed: &u64| reserved_bytes.map(|reserved| reserved.saturating_sub(*committed));
    StoreFacts {
        kind,
        base: Va(0x1b_0000),
        width: PointerWidth::Bits64,
        found_by: FoundBy::Structure,
        reserved_bytes,
        committed: values(committed),
        used: values(committed),
        entries: Values(committed.iter().map(|bytes| Some(bytes / 160)).collect()),
        unique_stacks: steady(20, count),
        saturated_entries: Values(committed.iter().map(|bytes| Some(bytes / 160)).collect()),
        failures: steady(0, count),
        room_left: Values(committed.iter().map(room).collect()),
        is_full: committed.iter().map(|bytes| room(bytes).map(|room| room < 0x2000)).collect(),
        fill_percent: committed
            .iter()
            .map(|bytes| reserved_bytes.map(|reserved| *bytes as f64 * 100.0 / reserved as f64))
            .collect(),
        time_to_full: None,
    }
}

fn dump_facts(at: usize) -> DumpFacts {
    let seconds = NEW_YEAR_UNIX_SECONDS + 3600 * u32::try_from(at).expect("few dumps");
    DumpFacts {
        dump: DumpIdx(at),
        time: UtcTime::from_unix_seconds(seconds),
        width: PointerWidth::Bits64,
        nt_global_flag: Some(0),
        processor_count: Some(4),
        exception: None,
        has_full_memory: true,
        cut_off_bytes: 0,
        cut_off_streams: Vec::new(),
        is_region_list_whole: Some(true),
        free_bytes: Some(8 << 40),
        largest_free: Some(VaRange::from_size(Va(0x1_0000_0000), 7 << 40)),
        system_commit: Some(SystemCommit { committed_bytes: 2 << 30, limit_bytes: 16 << 30 }),
        out_of_memory_threads: Vec::new(),
        diagnostic_modules: Vec::new(),
        store_count: 0,
        has_tebs: true,
    }
}
