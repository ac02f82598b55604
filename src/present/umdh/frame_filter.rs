//! Filters stacks of logs by their frames: each word must be found in some frame, in its name, address or source.

use crate::analysis::series::umdh_join::UmdhSeries;
use crate::input::umdh::Comparison;
use crate::input::umdh::frames::LogFrame;

use super::UmdhNaming;
use super::comparison_table::entry_frames;

/// The stacks of raw logs that pass, by their position. A word is also found in the id.
pub fn matching_stacks(series: &UmdhSeries, naming: &UmdhNaming, filter: &str) -> Vec<u32> {
    let all = 0..u32::try_from(series.stacks.len()).unwrap_or(u32::MAX);
    let words = words(filter);
    if words.is_empty() {
        return all.collect();
    }
    // The same few thousand frames make up all stacks: each is named once.
    let texts: Vec<String> = series.all_frames().iter().map(|frame| searchable(naming, frame)).collect();
    let found: Vec<Vec<bool>> =
        words.iter().map(|word| texts.iter().map(|text| text.contains(word.as_str())).collect()).collect();
    let has = |stack: u32, found: &[bool], word: &str| {
        series.stacks.get(stack as usize).is_some_and(|stack| {
            let mut ids = stack.candidates.iter().flat_map(|ids| ids.iter());
            ids.any(|id| found.get(*id as usize).copied().unwrap_or(false)) || stack.id.to_lowercase().contains(word)
        })
    };
    all.filter(|stack| words.iter().zip(&found).all(|(word, found)| has(*stack, found, word))).collect()
}

/// The same for the entries of a comparison.
pub fn matching_entries(comparison: &Comparison, naming: &UmdhNaming, filter: &str) -> Vec<u32> {
    let words = words(filter);
    let has = |entry: u32, word: &String| {
        let in_id =
            comparison.entries.get(entry as usize).is_some_and(|of| of.id.to_lowercase().contains(word.as_str()));
        in_id || entry_frames(comparison, entry as usize).any(|frame| searchable(naming, frame).contains(word.as_str()))
    };
    let all = 0..u32::try_from(comparison.entries.len()).unwrap_or(u32::MAX);
    all.filter(|entry| words.iter().all(|word| has(*entry, word))).collect()
}

fn words(filter: &str) -> Vec<String> {
    filter.split_whitespace().map(str::to_lowercase).collect()
}

fn searchable(naming: &UmdhNaming, frame: &LogFrame) -> String {
    let digits = frame.address.map_or_else(String::new, |va| format!("{:016x}", va.0));
    format!("{} {digits}", naming.frame_line(frame)).to_lowercase()
}
