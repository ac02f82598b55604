//! The patterns by name. What each means stands in its file in `patterns/`; here is what reports call it.

/// An analysis pattern. The names are those of the memory dump analysis pattern catalogue of D. Vostokov where it has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PatternId {
    InstrumentationSideEffect,
    InsufficientMemoryStackTraceDatabase,
    SpikingThread,
    DistributedSpike,
    MemoryLeakProcessHeap,
    MemoryLeakRegions,
    MemoryFluctuation,
    HandleLeak,
    ThreadGrowth,
    InsufficientMemory,
    HeapCorruption,
    StackOverflow,
    HighContention,
    TruncatedDump,
}

impl PatternId {
    /// In the order in which findings that are equally certain stand.
    pub const ALL: [Self; 14] = [
        Self::InstrumentationSideEffect,
        Self::InsufficientMemoryStackTraceDatabase,
        Self::SpikingThread,
        Self::DistributedSpike,
        Self::MemoryLeakProcessHeap,
        Self::MemoryLeakRegions,
        Self::MemoryFluctuation,
        Self::HandleLeak,
        Self::ThreadGrowth,
        Self::InsufficientMemory,
        Self::HeapCorruption,
        Self::StackOverflow,
        Self::HighContention,
        Self::TruncatedDump,
    ];

    /// The name in the JSON report and on the command line.
    pub const fn key(self) -> &'static str {
        match self {
            Self::InstrumentationSideEffect => "instrumentation_side_effect",
            Self::InsufficientMemoryStackTraceDatabase => "insufficient_memory_stack_trace_database",
            Self::SpikingThread => "spiking_thread",
            Self::DistributedSpike => "distributed_spike",
            Self::MemoryLeakProcessHeap => "memory_leak_process_heap",
            Self::MemoryLeakRegions => "memory_leak_regions",
            Self::MemoryFluctuation => "memory_fluctuation",
            Self::HandleLeak => "handle_leak",
            Self::ThreadGrowth => "thread_growth",
            Self::InsufficientMemory => "insufficient_memory",
            Self::HeapCorruption => "heap_corruption",
            Self::StackOverflow => "stack_overflow",
            Self::HighContention => "high_contention",
            Self::TruncatedDump => "truncated_dump",
        }
    }

    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pattern| pattern.key() == key)
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::InstrumentationSideEffect => "Instrumentation Side Effect",
            Self::InsufficientMemoryStackTraceDatabase => "Insufficient Memory (Stack Trace Database)",
            Self::SpikingThread => "Spiking Thread",
            Self::DistributedSpike => "Distributed Spike",
            Self::MemoryLeakProcessHeap => "Memory Leak (process heap)",
            Self::MemoryLeakRegions => "Memory Leak (Regions)",
            Self::MemoryFluctuation => "Memory Fluctuation",
            Self::HandleLeak => "Handle Leak",
            Self::ThreadGrowth => "Thread growth",
            Self::InsufficientMemory => "Insufficient Memory",
            Self::HeapCorruption => "Dynamic Memory Corruption (process heap)",
            Self::StackOverflow => "Stack Overflow (user mode)",
            Self::HighContention => "High Contention",
            Self::TruncatedDump => "Truncated Dump",
        }
    }

    /// Where the pattern is described, and how near this program's meaning is to that description.
    pub const fn source(self) -> PatternSource {
        const BLOG: &str = "https://www.dumpanalysis.org/blog/index.php/";
        match self {
            Self::MemoryLeakProcessHeap => described("2007/08/06/crash-dump-analysis-patterns-part-20a/"),
            Self::SpikingThread => described("2007/05/11/crash-dump-analysis-patterns-part-14/"),
            Self::DistributedSpike => described("2010/09/19/crash-dump-analysis-patterns-part-106/"),
            Self::InsufficientMemory => described("2007/05/09/crash-dump-analysis-patterns-part-13a/"),
            Self::HandleLeak => described("2012/12/23/crash-dump-analysis-patterns-part-189/"),
            Self::TruncatedDump => described("2007/07/20/crash-dump-analysis-patterns-part-18/"),
            Self::MemoryFluctuation => described("2015/09/12/crash-dump-analysis-patterns-part-35b/"),
            Self::InstrumentationSideEffect
            | Self::InsufficientMemoryStackTraceDatabase
            | Self::MemoryLeakRegions
            | Self::HeapCorruption
            | Self::StackOverflow
            | Self::HighContention => {
                PatternSource { site: BLOG, page: "crash-dump-analysis-patterns/", is_name_only: true }
            }
            // No name of the catalogue: a plain word for the thing.
            Self::ThreadGrowth => PatternSource { site: "", page: "", is_name_only: true },
        }
    }
}

const fn described(page: &'static str) -> PatternSource {
    PatternSource { site: "https://www.dumpanalysis.org/blog/index.php/", page, is_name_only: false }
}

/// See [`PatternId::source`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PatternSource {
    site: &'static str,
    page: &'static str,
    /// The name stands in the catalogue; the meaning here is this program's own, so that what is found is related to it.
    pub is_name_only: bool,
}

impl PatternSource {
    /// `None` for what has no name in the catalogue.
    pub fn url(self) -> Option<String> {
        (!self.page.is_empty()).then(|| format!("{}{}", self.site, self.page))
    }
}
