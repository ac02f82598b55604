//! Any bytes, read as a UMDH log and joined as a series of two of it.

use std::hint::black_box;
use std::path::Path;

use crate::analysis::series::umdh_join::{Joining, PointSource};
use crate::base::ids::LogIdx;
use crate::base::progress::Progress;
use crate::input::umdh::{self, Amounts, Contents, UmdhFile};

/// Reads `data` as a log and touches what came of it. Whether it was a log.
///
/// # Panics
/// When sums contradict each other: stacks, heaps and what was left out must make the total.
pub fn read_as_log(data: &[u8]) -> bool {
    let file = match umdh::open_bytes(Path::new("any.log"), data.to_vec()) {
        Ok(file) => file,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "an error takes one line: {error}");
            return false;
        }
    };
    black_box((&file.header, &file.modules, file.file_name()));
    let mut joining = Joining::new((0..2).map(|log| (PointSource::Log(LogIdx(log)), None)).collect());
    for log in [LogIdx(1), LogIdx(0)] {
        match contents(&file) {
            Some(Contents::Raw(raw)) => {
                check_sums(&raw);
                black_box(joining.add_log(log, raw, &Progress::default()).is_ok());
            }
            Some(Contents::Comparison(comparison)) => {
                black_box((comparison.adds_up(), &comparison.radix_reason));
                joining.add_comparison(log, comparison);
            }
            None => {}
        }
    }
    let series = joining.finish();
    for stack in 0..series.stacks.len() {
        let (first, second) = (series.amount(stack, 0), series.amount(stack, 1));
        assert_eq!(first, second, "one log read twice is the same twice");
        black_box(series.frames(stack).filter_map(|frame| frame.parts()).count());
    }
    true
}

fn contents(file: &UmdhFile) -> Option<Contents> {
    umdh::read(file, &Progress::default()).ok()
}

fn check_sums(raw: &umdh::RawLog) {
    let sum = |amounts: &mut dyn Iterator<Item = Amounts>| amounts.fold(Amounts::default(), Amounts::plus);
    let by_stack = sum(&mut raw.stacks.iter().map(|stack| stack.amounts)).plus(raw.left_out);
    let by_heap = sum(&mut raw.heaps.iter().map(|heap| heap.amounts));
    assert_eq!(by_stack, raw.total, "the stacks are all blocks");
    assert_eq!(by_heap, raw.total, "the heaps are all blocks");
}
