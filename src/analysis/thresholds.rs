//! Every limit that makes a word of a number, with the reason for it: those of shapes (`series::shape`), of patterns
//! (`diagnosis::patterns`), and of what is worth a line in a report.

/// Two dumps show a difference, three a direction: the catalogue's own example of a leak has dumps of 100, 200 and 300 MB.
pub const LEAST_DUMPS_FOR_A_DIRECTION: usize = 3;

/// Growth, and a leak, rises in nearly every interval: one in five may be a quiet hour, an emptied cache or a caught peak.
pub const RISING_SHARE: f64 = 0.8;
/// Changes of committed memory below this share of the highest value are none: heaps commit and decommit by pages all the time.
pub const STEADY_SHARE: f64 = 0.02;
/// One interval with so much of the whole change is a step: one event, and not a rate.
pub const STEP_SHARE: f64 = 0.9;
/// Growth that ended: so much of the intervals at the end stand still. One quiet interval of three would be less.
pub const PLATEAU_SHARE: f64 = 0.4;
/// What stands still lies within this share of the whole range; less is not seen in a plot.
pub const PLATEAU_CHANGE_SHARE: f64 = 0.02;
/// What leaks must be most of what grew, else the leak is not the answer to the question why the process grew.
pub const LEAK_SHARE_PERCENT: f64 = 50.0;
/// A part below this share of the growth did not cause it, whatever else it does.
pub const NO_PART_PERCENT: f64 = 5.0;
/// Growth of the whole below this share of what was there is none: caches fill, stacks deepen. The headline says steady then.
pub const STEADY_PERCENT: f64 = 1.0;
/// And below this it is no leak that anybody would chase, however steady: a heap's own segment step is 1 MB.
pub const LEAST_LEAK_BYTES: u64 = 1 << 20;

/// Net change over peak to peak below this is up and down: what is left is where in its swing the last point caught it. Memory
/// Fluctuation: points that are taken too close together differ by what rises and falls anyway.
pub const FLUCTUATION_NET_SHARE: f64 = 0.3;
/// Turns of direction that make a fluctuation, one each way: what rose and fell and rose again swings, whatever is left.
pub const FLUCTUATION_TURNS: u32 = 2;
/// A swing below this share of the highest value is not worth a finding.
pub const LEAST_SWING_SHARE: f64 = 0.05;
/// Ups and downs of less than this are the heap's own commit and decommit steps.
pub const LEAST_FLUCTUATION_BYTES: u64 = 64 << 10;
/// Logs count requested bytes exactly, of one stack; less than this is a block or two.
pub const LEAST_LOGGED_FLUCTUATION_BYTES: u64 = 1 << 10;
/// A first dump smaller than this share of the last is a baseline: it was taken before the growth.
pub const BASELINE_SHARE: f64 = 0.25;
/// Stacks that are named one by one; the others are counted.
pub const MOST_NAMED: usize = 5;

/// From this share of the growth on, instrumentation is what grew; below it, it is on and costs what it costs.
pub const INSTRUMENTATION_DOMINANT_PERCENT: f64 = 20.0;

/// A database this full takes new stacks for a short while only; it is not full yet.
pub const STORE_NEARLY_FULL_PERCENT: f64 = 80.0;
/// A store without a limit of its own that holds this share of all private memory eats it.
pub const STORE_DOMINANT_PERCENT: f64 = 50.0;
/// One stack in so many entries is no variety of stacks: the entries repeat.
pub const REPEATING_ENTRIES_PER_STACK: f64 = 100.0;

/// A thread that used half of an interval was not waiting for most of it.
pub const SPIKE_CORES: f64 = 0.5;
/// And it stands out when the next one used less than a third of that.
pub const SPIKE_TIMES_NEXT: f64 = 3.0;
/// All threads together: nearly one core.
pub const DISTRIBUTED_CORES: f64 = 0.8;
/// Or a quarter of the machine, whichever is less.
pub const DISTRIBUTED_MACHINE_SHARE: f64 = 0.25;
/// No thread of a distributed spike has more than this share of it.
pub const DISTRIBUTED_MOST_SHARE: f64 = 0.3;
/// Fewer threads than this are a few spiking threads.
pub const DISTRIBUTED_LEAST_THREADS: usize = 4;
/// A thread takes part with a twentieth of the sum.
pub const DISTRIBUTED_PART_SHARE: f64 = 0.05;

/// Handles are opened by tens at start-up and by each window; fewer than this in a series are no leak.
pub const LEAST_HANDLE_GROWTH: u64 = 100;
/// One dump with so many is abnormal without a comparison: the catalogue's example has 273,020, programs have hundreds.
pub const ABNORMAL_HANDLES: u64 = 50_000;
/// What grows must have grown by a fifth; the same as for memory.
pub const LEAST_GROWTH_RATIO: f64 = 1.2;
/// Thread pools grow and shrink by a few threads.
pub const LEAST_THREAD_GROWTH: u64 = 10;

/// A 32-bit program asks for contiguous memory: heaps grow by segments of up to 16 MB and then want a whole one.
pub const SMALL_FREE_BLOCK_BYTES: u64 = 16 << 20;
/// Twice that is near the wall.
pub const NEAR_FREE_BLOCK_BYTES: u64 = 64 << 20;
/// The system refuses memory at its commit limit; from here on it is a matter of minutes.
pub const COMMIT_EXHAUSTED_PERCENT: f64 = 95.0;
/// Below this the system has room.
pub const COMMIT_ROOMY_PERCENT: f64 = 80.0;

/// Guard pages and what the system keeps at the end of a stack: one page on XP, three since.
pub const STACK_RESERVE_PAGES: u64 = 4;
pub const PAGE_BYTES: u64 = 0x1000;
/// A function that stands so often on one stack calls itself, directly or not, without an end in sight.
pub const REPEATED_FRAME_COUNT: u64 = 50;
/// And such functions make up most of the stack.
pub const REPEATED_FRAME_SHARE: f64 = 0.2;

/// Two threads wait for each other's locks all the time; four at one moment are a queue.
pub const CONTENDED_LEAST_THREADS: usize = 4;
/// A quarter of all threads at a lock.
pub const CONTENDED_SHARE: f64 = 0.25;
/// A heap's lock that was waited for so often in an hour was waited for some times a second.
pub const CONTENTION_PER_HOUR: f64 = 10_000.0;

/// Loaded and unloaded so often is no start of a program: something is fetched anew for each use. A plug-in that is tried, used
/// and closed at the end is unloaded twice.
pub const UNLOADED_AGAIN_AND_AGAIN: u64 = 3;

/// A wall further away than a year is no news: nobody lets a process run as long, and no rate lasts.
pub const MOST_FORETOLD_DAYS: i128 = 366;

/// When so much of a heap cannot be read, blocks were not damaged: the heap was not understood, or is not there.
pub const UNREAD_SHARE: f64 = 0.5;
