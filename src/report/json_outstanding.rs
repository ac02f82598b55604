//! Blocks in use by stack in the JSON report: what of them is known.

use serde::Serialize;

use crate::analysis::Analysis;
use crate::analysis::series::outstanding::Outstanding;
use crate::base::ids::DumpIdx;

/// Sums over the blocks in use of all heaps of a dump.
#[derive(Serialize)]
pub(super) struct OutstandingTotals {
    /// Whether all blocks of all heaps were read.
    is_whole: bool,
    /// With a stack that is known.
    traced: Sum,
    /// Of heaps that keep stacks, without one.
    untraced: Sum,
    /// Of heaps that keep no stacks.
    not_kept: Sum,
    /// With a 16-bit number that several stacks may have (XP, 2003).
    ambiguous: Sum,
    /// With a record that is in no store of the dump.
    unresolved: Sum,
    /// Of stacks that were counted and not kept apart.
    left_out: Sum,
}

#[derive(Serialize)]
struct Sum {
    block_count: u64,
    user_bytes: u64,
}

impl From<&Outstanding> for Sum {
    fn from(sum: &Outstanding) -> Self {
        Self { block_count: sum.block_count, user_bytes: sum.user_bytes }
    }
}

/// `None` where heaps and traces were not both decoded.
pub(super) fn outstanding_of(analysis: &Analysis, dump: DumpIdx) -> Option<OutstandingTotals> {
    let group = analysis.group_of(dump)?;
    let position = group.dumps.iter().position(|other| *other == dump)?;
    let found = analysis.outstanding_of(group)?.dumps.get(position)?.as_ref()?;
    Some(OutstandingTotals {
        is_whole: found.is_whole,
        traced: (&found.traced).into(),
        untraced: (&found.untraced).into(),
        not_kept: (&found.not_kept).into(),
        ambiguous: (&found.ambiguous).into(),
        unresolved: (&found.unresolved).into(),
        left_out: (&found.left_out).into(),
    })
}
