//! One file for each pattern: what it means, and how the facts decide it. All are in [`PATTERNS`]; a test demands of each a
//! case where it is found, one that just misses it, and one where it is ruled out.

mod distributed_spike;
mod handle_leak;
mod heap_corruption;
mod high_contention;
mod instrumentation_side_effect;
mod insufficient_memory;
mod insufficient_memory_stack_trace_database;
mod memory_fluctuation;
mod memory_leak_process_heap;
mod memory_leak_regions;
mod spiking_thread;
mod stack_overflow;
mod thread_growth;
mod truncated_dump;

use super::Finding;
use super::evidence::{Number, count_delta, percent_text};
use super::facts::SeriesFacts;
use super::pattern::PatternId;
use crate::analysis::series::growth::Values;
use crate::analysis::series::shape::Shape;
use crate::base::units::{ByteDelta, ByteSize};

/// A pattern and its judge.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    pub id: PatternId,
    pub judge: fn(&SeriesFacts) -> Finding,
}

/// All patterns.
pub const PATTERNS: [Pattern; 14] = [
    instrumentation_side_effect::PATTERN,
    insufficient_memory_stack_trace_database::PATTERN,
    spiking_thread::PATTERN,
    distributed_spike::PATTERN,
    memory_leak_process_heap::PATTERN,
    memory_leak_regions::PATTERN,
    memory_fluctuation::PATTERN,
    handle_leak::PATTERN,
    thread_growth::PATTERN,
    insufficient_memory::PATTERN,
    heap_corruption::PATTERN,
    stack_overflow::PATTERN,
    high_contention::PATTERN,
    truncated_dump::PATTERN,
];

const ONE_DUMP: &str = "one dump shows how much there is, not whether it grows";

/// `1.5 MB to 3.0 MB`, `1.4 MB in every dump`, `1.4 MB` with one dump.
fn sizes_text(values: &Values) -> String {
    match (values.first(), values.last()) {
        (Some(first), Some(last)) if first != last => format!("{} to {}", ByteSize(first), ByteSize(last)),
        (Some(same), Some(_)) if values.0.len() > 1 && values.peak_to_peak() == 0 => {
            format!("{} in every dump", ByteSize(same))
        }
        (Some(same), Some(_)) if values.0.len() > 1 => format!("{} in the first and the last dump", ByteSize(same)),
        (Some(same), Some(_)) => ByteSize(same).to_string(),
        _ => "not known".to_owned(),
    }
}

/// `+1.2 MB of +3.4 MB (35 %)`; without the share where the whole did not grow.
fn share_text(part: i128, whole: i128) -> String {
    let share = if whole > 0 && part > 0 && part <= whole {
        format!(" ({})", percent_text(part as f64 * 100.0 / whole as f64))
    } else {
        String::new()
    };
    format!("{} of {}{share}", ByteDelta(part), ByteDelta(whole))
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", crate::base::units::grouped(count as u64)) }
}

const fn delta(net: i128) -> Number {
    Number::BytesDelta(net)
}

fn counts_text(net: i128, noun: &str) -> String {
    format!("{} {noun}", count_delta(net))
}

/// Whether it rises in nearly every interval, and by a fifth at least in all.
fn rises_steadily(values: &Values) -> bool {
    values.shape() == Some(Shape::Growth)
        && values.rising_share().is_some_and(|share| share >= crate::analysis::thresholds::RISING_SHARE)
        && values.ratio().is_none_or(|ratio| ratio >= crate::analysis::thresholds::LEAST_GROWTH_RATIO)
}

/// Growth of the whole that is worth a name.
fn has_grown(whole: &Values) -> Option<bool> {
    let (first, net) = (whole.first()?, whole.net()?);
    Some(net > 0 && (net as f64) * 100.0 >= crate::analysis::thresholds::STEADY_PERCENT * first as f64)
}
