//! What the patterns judge: numbers of the chosen dumps, and nothing else. `gather` takes them from an analysis; a test writes
//! them down. A part that is not decoded yet is `None` as a whole; a value that a dump does not tell is `None` in its list.
//!
//! **Invariant:** every list with one value for each dump has the length of [`SeriesFacts::dumps`].

use crate::analysis::series::growth::Values;
use crate::analysis::series::handles::SeriesHandles;
use crate::analysis::series::store_growth::EntryGrowth;
use crate::analysis::series::thread_doing::Doing;
use crate::analysis::series::threads::CpuSpent;
use crate::analysis::series::time_to_full::TimeToFull;
use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::ids::DumpIdx;
use crate::base::time::UtcTime;
use crate::process::heap::head::HeapKind;
use crate::process::regions::usage::Usage;
use crate::process::traces::{FoundBy, StoreKind};

/// All facts of one process over the chosen dumps.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SeriesFacts {
    pub dumps: Vec<DumpFacts>,
    pub memory: MemoryFacts,
    pub heaps: Option<Vec<HeapFacts>>,
    pub traces: Option<TraceFacts>,
    /// Blocks in use by allocation stack.
    pub stacks_in_use: Option<Vec<StackInUse>>,
    /// Curves of allocation stacks from other sources than dumps: UMDH logs beside them.
    pub logged_curves: Vec<LoggedCurve>,
    /// There are logs, and they are not read yet.
    pub are_logs_pending: bool,
    pub threads: Vec<ThreadFacts>,
    pub are_stacks_unwound: bool,
    pub handles: SeriesHandles,
}

/// One dump.
#[derive(Clone, PartialEq, Debug)]
pub struct DumpFacts {
    pub dump: DumpIdx,
    pub time: Option<UtcTime>,
    /// Of the program's own addresses: 32 for a WOW64 process.
    pub width: PointerWidth,
    /// All flags of all PEBs; `None` when no PEB is in the dump.
    pub nt_global_flag: Option<u32>,
    pub processor_count: Option<u32>,
    pub exception: Option<ExceptionFacts>,
    pub has_full_memory: bool,
    /// Bytes of memory that the file lists and does not hold.
    pub cut_off_bytes: u64,
    /// Streams that the file names and does not hold to their end.
    pub cut_off_streams: Vec<String>,
    /// Whether the list of regions is whole; `None` without one.
    pub is_region_list_whole: Option<bool>,
    pub free_bytes: Option<u64>,
    /// The largest free block that the program can use.
    pub largest_free: Option<VaRange>,
    pub system_commit: Option<SystemCommit>,
    /// Threads whose last error says that memory could not be had.
    pub out_of_memory_threads: Vec<(u32, u32)>,
    /// Modules of diagnosing tools.
    pub diagnostic_modules: Vec<String>,
    /// Stores of the stack trace database, decoded or not.
    pub store_count: usize,
    /// Whether threads' stack bounds are known.
    pub has_tebs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExceptionFacts {
    pub tid: u32,
    pub code: u32,
}

/// Commit of the whole machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystemCommit {
    pub committed_bytes: u64,
    pub limit_bytes: u64,
}

/// Committed memory.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MemoryFacts {
    pub committed: Values,
    pub private: Values,
    pub uses: Vec<UseFacts>,
    pub equal_sizes: Vec<EqualSizeFacts>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct UseFacts {
    pub usage: Usage,
    pub committed: Values,
    /// Whether all dumps count the same things under it.
    pub is_comparable: bool,
}

/// Many private allocations of one size.
#[derive(Clone, PartialEq, Debug)]
pub struct EqualSizeFacts {
    pub size_bytes: u64,
    pub usage: Usage,
    pub counts: Values,
    pub committed: Values,
    /// In the last dump.
    pub longest_run_count: u64,
    /// The lowest in the last dump.
    pub first: Va,
}

#[derive(Clone, PartialEq, Debug)]
pub struct HeapFacts {
    pub base: Va,
    pub width: PointerWidth,
    pub kind: HeapKind,
    /// Large blocks included.
    pub committed: Values,
    pub in_use: Values,
    pub lock_contention: Values,
    /// `None` where its blocks were not read.
    pub damage: Vec<Option<HeapDamage>>,
}

/// What does not fit together in a heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeapDamage {
    pub bad_header_count: u64,
    pub broken_chain_count: u64,
    pub lost_bytes: u64,
    /// The first such place.
    pub first: Option<Va>,
}

impl HeapDamage {
    pub const fn is_none(&self) -> bool {
        self.bad_header_count == 0 && self.broken_chain_count == 0 && self.lost_bytes == 0
    }
}

/// The decoded stack trace database.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TraceFacts {
    pub stores: Vec<StoreFacts>,
    /// Between the first and the last dump.
    pub growth: Option<EntryGrowth>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct StoreFacts {
    pub kind: StoreKind,
    pub base: Va,
    pub width: PointerWidth,
    pub found_by: FoundBy,
    /// The size in effect: what was reserved for it. `None` for a store without a limit.
    pub reserved_bytes: Option<u64>,
    pub committed: Values,
    pub used: Values,
    pub entries: Values,
    pub unique_stacks: Values,
    pub saturated_entries: Values,
    pub failures: Values,
    /// Reserved and not committed.
    pub room_left: Values,
    pub is_full: Vec<Option<bool>>,
    pub fill_percent: Vec<Option<f64>>,
    pub time_to_full: Option<TimeToFull>,
}

/// What one allocation stack holds in each dump.
#[derive(Clone, PartialEq, Debug)]
pub struct StackInUse {
    /// Position among the series' stacks.
    pub stack: usize,
    /// The frame that names it: the first outside of the allocator.
    pub name: String,
    pub user_bytes: Values,
}

/// What one allocation stack holds in each log.
#[derive(Clone, PartialEq, Debug)]
pub struct LoggedCurve {
    pub name: String,
    /// One for each log, in time order: logs have times of their own.
    pub bytes: Vec<u64>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ThreadFacts {
    pub tid: u32,
    pub name: Option<String>,
    /// The module or function that it started in.
    pub start: Option<String>,
    /// Whether each dump has it, alive.
    pub is_present: Vec<bool>,
    /// One less than there are dumps.
    pub cpu_per_interval: Vec<Option<CpuSpent>>,
    /// Since its creation, at each dump.
    pub totals: Vec<Option<ThreadTotals>>,
    pub doing: Vec<Option<Doing>>,
    /// The function of a lock that it waits in.
    pub lock_wait: Vec<Option<&'static str>>,
    pub stack: Vec<Option<StackUse>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ThreadTotals {
    pub user_ns: u64,
    pub kernel_ns: u64,
    pub elapsed_ns: Option<u64>,
}

impl ThreadTotals {
    pub const fn total_ns(self) -> u64 {
        self.user_ns.saturating_add(self.kernel_ns)
    }
}

/// How much of a thread's stack is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StackUse {
    pub reserved_bytes: u64,
    pub uncommitted_bytes: u64,
    pub frame_count: u64,
    /// How often the most frequent of its frames stands on it.
    pub repeated_count: u64,
}

impl SeriesFacts {
    pub fn first(&self) -> Option<&DumpFacts> {
        self.dumps.first()
    }

    pub fn last(&self) -> Option<&DumpFacts> {
        self.dumps.last()
    }

    /// The number of the dump at a position; the last one's behind the end.
    pub fn dump(&self, position: usize) -> DumpIdx {
        let dump = self.dumps.get(position).or_else(|| self.dumps.last());
        dump.map_or(DumpIdx(0), |dump| dump.dump)
    }

    pub fn last_dump(&self) -> DumpIdx {
        self.dump(usize::MAX)
    }

    pub fn times(&self) -> Vec<Option<UtcTime>> {
        self.dumps.iter().map(|dump| dump.time).collect()
    }

    /// Nanoseconds between a dump and the next; `None` when one has no time, or none has passed.
    pub fn interval_ns(&self, interval: usize) -> Option<u64> {
        let (from, to) = (self.dumps.get(interval)?.time?, self.dumps.get(interval + 1)?.time?);
        u64::try_from(to.ns_since(from)).ok().filter(|ns| *ns > 0)
    }

    /// From the first to the last dump.
    pub fn span_ns(&self) -> Option<u64> {
        let (from, to) = (self.first()?.time?, self.last()?.time?);
        u64::try_from(to.ns_since(from)).ok().filter(|ns| *ns > 0)
    }

    pub fn usage(&self, usage: Usage) -> Option<&UseFacts> {
        self.memory.uses.iter().find(|facts| facts.usage == usage)
    }

    /// Whether there are enough dumps to tell a direction.
    pub fn shows_direction(&self) -> bool {
        self.dumps.len() >= crate::analysis::thresholds::LEAST_DUMPS_FOR_A_DIRECTION
    }

    /// `dumps 1 to 6`, `dump 1`.
    pub fn dumps_text(&self) -> String {
        match (self.first(), self.last()) {
            (Some(first), Some(last)) if first.dump != last.dump => format!("dumps {} to {}", first.dump, last.dump),
            (Some(only), _) => format!("dump {}", only.dump),
            _ => "no dump".to_owned(),
        }
    }
}
