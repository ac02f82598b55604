//! Which dumps show the same process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::analysis::snapshot::{ProcessIdentity, Snapshot};
use crate::base::ids::DumpIdx;

/// The dumps of one process, in time order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessGroup {
    pub identity: ProcessIdentity,
    pub dumps: Vec<DumpIdx>,
}

impl ProcessGroup {
    /// The dumps to compare: from the baseline on; the whole group when nothing comes after the baseline, or when it is of
    /// another process.
    pub fn compared_dumps(&self, baseline: Option<DumpIdx>) -> Vec<DumpIdx> {
        let from_baseline: Vec<DumpIdx> = match baseline.filter(|dump| self.dumps.contains(dump)) {
            Some(baseline) => self.dumps.iter().copied().filter(|dump| *dump >= baseline).collect(),
            None => Vec::new(),
        };
        if from_baseline.len() > 1 { from_baseline } else { self.dumps.clone() }
    }
}

/// Sorts dumps into processes by image, process id and creation time. What a dump does not say does not keep it apart.
/// The group with most dumps comes first; of equal ones, that with the earliest dump.
pub fn group_by_process(snapshots: &[Arc<Snapshot>]) -> Vec<ProcessGroup> {
    let mut groups: Vec<ProcessGroup> = Vec::new();
    for (index, snapshot) in snapshots.iter().enumerate() {
        let dump = DumpIdx(index);
        match groups.iter_mut().find(|group| may_be_same(&group.identity, &snapshot.identity)) {
            Some(group) => {
                group.dumps.push(dump);
                fill_in(&mut group.identity, &snapshot.identity);
            }
            None => groups.push(ProcessGroup { identity: snapshot.identity.clone(), dumps: vec![dump] }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.dumps.len()));
    groups
}

fn may_be_same(a: &ProcessIdentity, b: &ProcessIdentity) -> bool {
    fn agree<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
        a.zip(b).is_none_or(|(a, b)| a == b)
    }
    let image = |identity: &ProcessIdentity| identity.image.as_ref().map(|name| name.to_lowercase());
    agree(image(a).as_ref(), image(b).as_ref())
        && agree(a.pid.as_ref(), b.pid.as_ref())
        && agree(a.created.as_ref(), b.created.as_ref())
}

fn fill_in(known: &mut ProcessIdentity, more: &ProcessIdentity) {
    known.image = known.image.take().or_else(|| more.image.clone());
    known.pid = known.pid.or(more.pid);
    known.created = known.created.or(more.created);
}
