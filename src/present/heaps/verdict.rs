//! What the heaps did over an interval, in sentences: the first question of every such case is whether a heap leaks.

use crate::analysis::Analysis;
use crate::analysis::series::heaps::SeriesHeaps;
use crate::analysis::series::outstanding::Outstanding;
use crate::analysis::series::shape::{Shape, committed_shape};
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteDelta, ByteSize, grouped};
use crate::present::uses::Part;
use crate::process::heap::head::HeapKind;

/// What all heaps of a process take together in the dumps of a series. `None` where a heap of the dump is not known.
pub fn committed_by_dump(heaps: &SeriesHeaps) -> Vec<Option<u64>> {
    (0..heaps.dumps.len())
        .map(|dump| {
            let present =
                heaps.histories.iter().filter(|history| history.positions.get(dump).copied().flatten().is_some());
            present
                .map(|history| Some(history.sizes.get(dump).copied().flatten()?.all_committed_bytes()))
                .try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?)))
        })
        .collect()
}

/// The verdict and what it rests on: one line each. Empty before the heaps are decoded.
pub fn verdict_lines(analysis: &Analysis, from: DumpIdx, to: DumpIdx) -> Vec<String> {
    let lines = || {
        let group = analysis.group_of(to)?;
        let heaps = analysis.heaps_of(group)?;
        let position = |dump: DumpIdx| group.dumps.iter().position(|other| *other == dump);
        let (first, last) = (position(from)?, position(to)?);
        let mut lines = vec![first_line(analysis, heaps, (first, from), (last, to))?];
        lines.extend(heap_lines(heaps, first, last));
        lines.extend(unknown_lines(heaps, last));
        Some(lines)
    };
    lines().unwrap_or_default()
}

fn first_line(
    analysis: &Analysis,
    heaps: &SeriesHeaps,
    (first, from): (usize, DumpIdx),
    (last, to): (usize, DumpIdx),
) -> Option<String> {
    let committed = committed_by_dump(heaps);
    let count =
        heaps.histories.iter().filter(|history| history.positions.get(last).copied().flatten().is_some()).count();
    let all = if count == 1 { "the heap".to_owned() } else { format!("all {count} heaps together") };
    let Some(now) = committed.get(last).copied().flatten() else {
        return Some(format!("not all of the {count} heaps of dump {to} are known, so what they hold together is not"));
    };
    if first == last {
        return Some(format!(
            "{all}: {} committed in dump {to}; a second dump will show whether they grow",
            ByteSize(now)
        ));
    }
    let before = committed.get(first).copied().flatten()?;
    let delta = ByteDelta::between(before, now);
    let whole = Part::All.change(analysis, from, to).and_then(|change| change.delta());
    let share = whole
        .filter(|whole| whole.0 > 0 && delta.0 >= 0)
        .map(|whole| delta.0 as f64 * 100.0 / whole.0 as f64)
        .filter(|share| *share <= 100.5);
    let of_growth = match (share, whole) {
        (Some(share), Some(whole)) => {
            format!(
                ", {share:.0} % of the process's growth of {}",
                ByteSize(u64::try_from(whole.0).unwrap_or_default())
            )
        }
        _ => String::new(),
    };
    let of_all = committed_shape(committed.get(first..=last)?)?;
    let grows = heaps.histories.iter().any(|history| history.shape(first, last) == Some(Shape::Growth));
    let answer = match of_all {
        Shape::Growth => "the heaps grow",
        _ if grows => "a heap grows",
        Shape::Step => "the heaps grew once",
        Shape::Plateau => "the heaps grew and then stayed",
        Shape::Fluctuation => "no heap leak to be seen: the heaps only fluctuate",
        Shape::Steady | Shape::Shrinking => "no heap leak: the heaps do not grow",
        Shape::Undecided => "the heaps go no clear way",
    };
    let known = || committed.get(first..=last).into_iter().flatten().copied().flatten();
    let amounts = match (of_all, known().min(), known().max()) {
        // Where it began and ended says nothing then.
        (Shape::Fluctuation, Some(least), Some(most)) => {
            return Some(format!(
                "{answer}. {}: between {} and {} committed, {} in dump {to}",
                capitalised(&all),
                ByteSize(least),
                ByteSize(most),
                ByteSize(now)
            ));
        }
        _ if before == now => format!("{} committed in both dumps", ByteSize(now)),
        _ => format!("{} to {} committed", ByteSize(before), ByteSize(now)),
    };
    Some(format!("{answer}. {}: {amounts} ({delta}{of_growth})", capitalised(&all)))
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Heaps that grow, or are damaged.
fn heap_lines(heaps: &SeriesHeaps, first: usize, last: usize) -> Vec<String> {
    const MOST_LINES: usize = 6;
    let mut lines = Vec::new();
    for history in &heaps.histories {
        let committed = history.committed();
        let ends = committed.get(first).copied().flatten().zip(committed.get(last).copied().flatten());
        let grows = history.shape(first, last) == Some(Shape::Growth);
        if let Some((before, now)) = ends.filter(|_| grows && first != last) {
            let address = history.base.windbg(history.width);
            let delta = ByteDelta::between(before, now);
            lines.push(format!("heap {address} grows: {} to {} ({delta})", ByteSize(before), ByteSize(now)));
        }
        let position = history.positions.get(last).copied().flatten();
        let decoded = position.and_then(|position| heaps.dumps.get(last)?.heaps.get(position));
        let damage = decoded.and_then(|heap| heap.totals.as_ref()).filter(|totals| !totals.is_undamaged());
        if let Some(totals) = damage {
            let address = history.base.windbg(history.width);
            let place = totals.damaged_places.first().map_or_else(String::new, |place| {
                format!("; the first at {}", place.range.start.windbg(history.width))
            });
            lines.push(format!(
                "heap {address} is damaged: {} block headers cannot be true, {} do not know the block before them{place}",
                grouped(totals.bad_header_count),
                grouped(totals.broken_chain_count)
            ));
        }
    }
    lines.truncate(MOST_LINES);
    lines
}

fn unknown_lines(heaps: &SeriesHeaps, last: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for history in &heaps.histories {
        let Some(position) = history.positions.get(last).copied().flatten() else { continue };
        let address = history.base.windbg(history.width);
        match history.kind {
            HeapKind::Unrecognised => {
                let bytes = heaps.dumps.get(last).and_then(|dump| dump.heaps.get(position));
                let bytes = bytes.map(|heap| heap.first_bytes.as_slice()).unwrap_or_default();
                let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                lines.push(format!("heap {address} has no known layout; it begins with {}", hex.join(" ")));
            }
            HeapKind::NotInDump => lines.push(format!("heap {address} is not in the dump")),
            HeapKind::Nt | HeapKind::Segment | HeapKind::PageHeap => {}
        }
    }
    lines
}

/// Of the blocks in use, how many are tied to the stack that allocated them; empty where no heap keeps stacks.
pub fn outstanding_lines(analysis: &Analysis, dump: DumpIdx) -> Vec<String> {
    let found = || {
        let group = analysis.group_of(dump)?;
        let position = group.dumps.iter().position(|other| *other == dump)?;
        analysis.outstanding_of(group)?.dumps.get(position)?.as_ref()
    };
    let Some(found) = found() else { return Vec::new() };
    let kept = [found.traced, found.untraced, found.ambiguous, found.unresolved, found.left_out];
    if kept.iter().all(|sum| sum.block_count == 0) {
        return Vec::new();
    }
    let amount = |sum: &Outstanding| format!("{} ({})", grouped(sum.block_count), ByteSize(sum.user_bytes));
    let mut line = format!("blocks in use: {} with the stack that allocated them", amount(&found.traced));
    let others = [
        (&found.untraced, "without one"),
        (&found.unresolved, "whose record is not in the dump's trace stores"),
        (&found.ambiguous, "with a number that several stacks have"),
        (&found.left_out, "of stacks that are not kept apart"),
        (&found.not_kept, "in heaps that keep no stacks"),
    ];
    for (sum, words) in others.into_iter().filter(|(sum, _)| sum.block_count > 0) {
        line.push_str(&format!(", {} {words}", amount(sum)));
    }
    if !found.is_whole {
        line.push_str("; not all blocks of all heaps could be read");
    }
    vec![line]
}
