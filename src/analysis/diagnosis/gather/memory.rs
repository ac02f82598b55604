//! Facts of each dump by itself, and of committed memory.

use std::collections::BTreeMap;

use crate::analysis::series::delta::is_comparable;
use crate::analysis::series::equal_sizes::{EqualSizes, equal_sizes};
use crate::analysis::series::growth::Values;
use crate::analysis::series::time_to_full::{lists_free_memory, system_commit};
use crate::analysis::snapshot::Snapshot;
use crate::base::addr::PointerWidth;
use crate::base::ids::DumpIdx;
use crate::process::regions::MemoryType;
use crate::process::regions::usage::Usage;

use super::super::facts::{DumpFacts, EqualSizeFacts, ExceptionFacts, MemoryFacts, SystemCommit, UseFacts};
use super::Chosen;

/// Libraries that diagnosing tools load into a process, in lower case: application verifier and DebugDiag.
const DIAGNOSTIC_MODULES: [&str; 7] =
    ["verifier.dll", "vrfcore.dll", "vfbasics.dll", "vfcompat.dll", "vfluapriv.dll", "leaktrack.dll", "umdhhook.dll"];
/// ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_COMMITMENT_LIMIT of winerror.h.
const OUT_OF_MEMORY_ERRORS: [u32; 3] = [8, 14, 1455];

pub(super) fn dump_facts(chosen: &Chosen<'_>) -> Vec<DumpFacts> {
    chosen.dumps.iter().zip(&chosen.snapshots).map(|(dump, snapshot)| of_dump(*dump, snapshot)).collect()
}

fn of_dump(dump: DumpIdx, snapshot: &Snapshot) -> DumpFacts {
    let totals = &snapshot.address_space.totals;
    let width = if snapshot.is_wow64() { PointerWidth::Bits32 } else { snapshot.pointer_width() };
    let largest_free = if snapshot.is_wow64() { totals.largest_free_below_4gb() } else { totals.largest_free() };
    let largest_free = largest_free.filter(|_| lists_free_memory(snapshot));
    let flags = snapshot.pebs.iter().map(|peb| peb.nt_global_flag);
    let file = &snapshot.dump;
    let is_cut = |entry: &&crate::input::dump::directory::StreamEntry| {
        entry.offset.0.saturating_add(entry.size_bytes) > file.file_bytes
    };
    let exception = file.exception.as_ref();
    let module_names = file.modules.iter().flatten().map(|module| module.file_name());
    DumpFacts {
        dump,
        time: snapshot.time(),
        width,
        nt_global_flag: flags.reduce(|all, flags| all | flags),
        processor_count: file
            .system
            .as_ref()
            .map(|system| u32::from(system.processor_count))
            .filter(|count| *count > 0),
        exception: exception.map(|exception| ExceptionFacts { tid: exception.tid, code: exception.code }),
        has_full_memory: file.header.has_full_memory(),
        cut_off_bytes: file.memory.cut_off_bytes(),
        cut_off_streams: file.streams.iter().filter(is_cut).map(|entry| entry.kind.to_string()).collect(),
        is_region_list_whole: file.memory_info.as_ref().map(|_| file.has_whole_memory_info),
        free_bytes: totals.free_bytes(),
        largest_free,
        system_commit: system_commit(snapshot)
            .map(|(committed_bytes, limit_bytes)| SystemCommit { committed_bytes, limit_bytes }),
        out_of_memory_threads: snapshot
            .tebs
            .iter()
            .filter_map(|teb| Some((teb.tid, teb.last_error.filter(|error| OUT_OF_MEMORY_ERRORS.contains(error))?)))
            .collect(),
        diagnostic_modules: module_names
            .filter(|name| DIAGNOSTIC_MODULES.contains(&name.to_lowercase().as_str()))
            .map(str::to_owned)
            .collect(),
        store_count: snapshot.trace_stores.len(),
        has_tebs: snapshot.tebs.iter().any(|teb| teb.stack.is_some()),
    }
}

pub(super) fn memory_facts(chosen: &Chosen<'_>) -> MemoryFacts {
    let values = |of: &dyn Fn(&Snapshot) -> Option<u64>| Values(chosen.snapshots.iter().map(|s| of(s)).collect());
    let uses = Usage::IN_USE.into_iter().map(|usage| UseFacts {
        usage,
        committed: values(&|snapshot| snapshot.address_space.totals.committed_bytes_of(usage)),
        is_comparable: chosen
            .snapshots
            .first()
            .is_some_and(|first| chosen.snapshots.iter().all(|other| is_comparable(first, other, usage))),
    });
    MemoryFacts {
        committed: values(&|snapshot| snapshot.address_space.totals.committed_bytes()),
        private: values(&|snapshot| {
            snapshot.address_space.totals.type_sizes(MemoryType::Private).map(|sizes| sizes.committed_bytes)
        }),
        uses: uses.collect(),
        equal_sizes: equal_size_facts(chosen),
    }
}

/// Groups of the last dump, with their counts in the others.
fn equal_size_facts(chosen: &Chosen<'_>) -> Vec<EqualSizeFacts> {
    let of_dumps: Vec<BTreeMap<(u64, Usage), EqualSizes>> = chosen
        .snapshots
        .iter()
        .map(|s| equal_sizes(s).into_iter().map(|group| ((group.size_bytes, group.usage), group)).collect())
        .collect();
    let Some(last) = of_dumps.last() else { return Vec::new() };
    let groups = last.iter().map(|(key, newest)| {
        // A dump that has not many of them has no such group: they are counted as none.
        let values = |of: fn(&EqualSizes) -> u64| {
            Values(of_dumps.iter().map(|groups| Some(groups.get(key).map_or(0, of))).collect())
        };
        EqualSizeFacts {
            size_bytes: newest.size_bytes,
            usage: newest.usage,
            counts: values(|group| group.count),
            committed: values(|group| group.committed_bytes),
            longest_run_count: newest.longest_run_count,
            first: newest.first,
        }
    });
    let mut groups: Vec<EqualSizeFacts> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.committed.last()));
    groups
}
