//! Two dumps of one process: what grew between them.

use crate::analysis::snapshot::Snapshot;
use crate::base::units::ByteDelta;
use crate::process::regions::MemoryType;
use crate::process::regions::usage::Usage;

/// One value at two points. `None` where a dump does not tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    pub from_bytes: Option<u64>,
    pub to_bytes: Option<u64>,
    /// Whether both points count the same things, so that their difference means something.
    pub is_comparable: bool,
}

impl Change {
    /// The difference, when both points are known and count the same things.
    pub fn delta(self) -> Option<ByteDelta> {
        self.is_comparable.then_some(ByteDelta::between(self.from_bytes?, self.to_bytes?))
    }
}

/// Whether a use counts the same things in both dumps. Unknown and mapped memory are what is left when everything else has
/// claimed its own; where the structures that claim are in one of the two dumps only, a heap that could not be read would
/// look like growth.
pub fn is_comparable(from: &Snapshot, to: &Snapshot, usage: Usage) -> bool {
    let (from, to) = (&from.address_space.totals, &to.address_space.totals);
    let is_rest = matches!(usage, Usage::Unknown | Usage::MappedFile);
    !is_rest || from.unknown_uses() == to.unknown_uses()
}

/// Committed memory in all.
pub fn committed_change(from: &Snapshot, to: &Snapshot) -> Change {
    Change {
        from_bytes: from.address_space.totals.committed_bytes(),
        to_bytes: to.address_space.totals.committed_bytes(),
        is_comparable: true,
    }
}

/// Committed memory of one use.
pub fn usage_change(from: &Snapshot, to: &Snapshot, usage: Usage) -> Change {
    Change {
        from_bytes: from.address_space.totals.committed_bytes_of(usage),
        to_bytes: to.address_space.totals.committed_bytes_of(usage),
        is_comparable: is_comparable(from, to, usage),
    }
}

/// Committed memory of one type.
pub fn type_change(from: &Snapshot, to: &Snapshot, memory_type: MemoryType) -> Change {
    let committed =
        |snapshot: &Snapshot| snapshot.address_space.totals.type_sizes(memory_type).map(|sizes| sizes.committed_bytes);
    Change { from_bytes: committed(from), to_bytes: committed(to), is_comparable: true }
}

/// The share of a part in the growth of the whole, in percent; `None` when the whole did not grow.
pub fn share_of_growth_percent(part: Change, whole: Change) -> Option<f64> {
    let (part, whole) = (part.delta()?.0, whole.delta()?.0);
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}
