//! The JSON report. Its shape is a contract with other programs: additions are free, changes raise `SCHEMA`.
//!
//! Addresses are strings `"0x…"`, sizes integers in bytes, times RFC 3339 UTC or nanoseconds. What is not known, or what
//! this version does not decode, is `null`, never 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::analysis::Analysis;
use crate::analysis::advice::target_of;
use crate::analysis::series::outstanding::{Outstanding, SeriesOutstanding};
use crate::analysis::series::stacks::StackCounts;
use crate::analysis::series::thread_stacks::StackChange;
use crate::analysis::series::threads::thread_histories;
use crate::analysis::series::traces::SeriesTraces;
use crate::analysis::snapshot::Snapshot;
use crate::base::ids::DumpIdx;
use crate::input::dump::modules::ModuleRecord;
use crate::input::symbols::SymbolTable;
use crate::present::diagnosis::findings;
use crate::present::heaps::heaps_of;
use crate::present::modules::version_text;
use crate::present::traces::leading::frame_text;
use crate::present::traces::{found_by_word, layout_text, stores_of};
use crate::process::peb::global_flag;
use crate::process::regions::totals::Sizes;
use crate::process::regions::usage::Usage;
use crate::process::regions::{Completeness, MemoryType, State};
use crate::process::traces::{Health, StoreKind, TraceStore};

use super::json_findings::{FindingEntry, finding_entries};
use super::json_heaps::{Heap, Key, heaps, lfh_keys};
use super::json_modules::{ModuleSeries, module_series};
use super::json_outstanding::{OutstandingTotals, outstanding_of};
use super::json_series::{HandleEntries, WallEntry, handles, time_to_full};
use super::json_threads::{ThreadEntry, threads};
use super::json_umdh::{UmdhLog, UmdhProcess, umdh, umdh_series};

/// Raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report {
    schema: u32,
    process: Option<Process>,
    /// Every process when the files are of several; the first is the one above.
    processes: Vec<Process>,
    dumps: Vec<Dump>,
    /// Number of the dump that the user compares with, when one was chosen.
    baseline: Option<usize>,
    threads: Vec<ThreadSeries>,
    /// Of the process above; the first [`MOST_TRACES`] by entries in the last dump.
    traces: Option<Vec<Trace>>,
    traces_left_out_count: Option<u64>,
    /// `null` before the logs were read; in time order.
    umdh: Option<Vec<UmdhLog>>,
    /// The raw logs of each process over time.
    umdh_series: Option<Vec<UmdhProcess>>,
    /// Of the process above, over its dumps from the baseline on; `null` without dumps.
    module_series: Option<ModuleSeries>,
    /// Open handles by type; `null` where no dump of the process has a list of handles.
    handles: Option<HandleEntries>,
    /// Walls that the process goes towards at its present rate, the nearest first.
    time_to_full: Vec<WallEntry>,
    /// Of the process above, over its dumps from the baseline on.
    findings: Vec<FindingEntry>,
    failures: Vec<FileText>,
    notes: Vec<Note>,
}

#[derive(Serialize, Clone)]
struct Process {
    image: Option<String>,
    pid: Option<u32>,
    created: Option<String>,
    /// Numbers of the dumps of this process, from 1.
    dumps: Vec<usize>,
}

#[derive(Serialize)]
struct FileText {
    file: String,
    text: String,
}

#[derive(Serialize)]
struct Note {
    text: String,
    dumps: Vec<usize>,
}

#[derive(Serialize)]
struct Dump {
    file: String,
    path: String,
    size_bytes: u64,
    time: Option<String>,
    arch: Option<&'static str>,
    /// `null` where the dump does not tell.
    wow64: Option<bool>,
    os: Option<Os>,
    problems: Vec<Problem>,
    /// How many more there are than are listed.
    problems_left_out_count: u64,
    address_space: AddressSpace,
    memory_bytes: u64,
    handle_count: Option<usize>,
    pebs: Vec<Peb>,
    tebs: Vec<Teb>,
    global_flag: Option<GlobalFlag>,
    command_line: Option<String>,
    modules: Option<Vec<Module>>,
    threads: Option<Vec<ThreadEntry>>,
    /// Threads whose stack is not written, because there are too many.
    stacks_left_out_count: usize,
    /// Threads whose stacks would have made the report too long.
    heaps: Option<Vec<Heap>>,
    lfh_keys: Option<Vec<Key>>,
    /// Blocks in use by whether the stack that allocated them is known.
    outstanding: Option<OutstandingTotals>,
    trace_stores: Option<Vec<Store>>,
    comments: Vec<String>,
}

#[derive(Serialize)]
struct Os {
    version: String,
    build: u32,
    service_pack: Option<String>,
}

#[derive(Serialize)]
struct Problem {
    r#where: String,
    text: String,
    kind: &'static str,
}

#[derive(Serialize)]
struct AddressSpace {
    /// `complete` or `partial`.
    map: &'static str,
    region_count: Option<u64>,
    region_count_by_state: CountByState,
    committed_bytes: Option<u64>,
    reserved_bytes: Option<u64>,
    free_bytes: Option<u64>,
    largest_free_bytes: Option<u64>,
    largest_free_below_4gb_bytes: Option<u64>,
    by_type: BTreeMap<&'static str, Option<GroupSizes>>,
    by_usage: BTreeMap<&'static str, Option<GroupSizes>>,
}

#[derive(Serialize)]
struct CountByState {
    free: Option<u64>,
    reserved: Option<u64>,
    committed: Option<u64>,
}

#[derive(Serialize)]
struct GroupSizes {
    committed_bytes: u64,
    reserved_bytes: u64,
    region_count: u64,
}

#[derive(Serialize)]
struct Peb {
    base: String,
    pointer_bits: u32,
}

#[derive(Serialize)]
struct Teb {
    base: String,
    tid: u32,
    pointer_bits: u32,
}

#[derive(Serialize)]
struct GlobalFlag {
    value: String,
    names: Vec<String>,
}

#[derive(Serialize)]
struct Module {
    base: String,
    size_bytes: u64,
    name: String,
    path: Option<String>,
    version: Option<String>,
    pdb: Option<String>,
    pdb_id: Option<String>,
    symbols: Option<&'static str>,
    symbols_note: Option<String>,
}

#[derive(Serialize)]
struct Store {
    kind: &'static str,
    base: String,
    layout: String,
    /// Whether the layout was seen on a real dump or stands on published facts.
    proof: &'static str,
    reserved_bytes: Option<u64>,
    committed_bytes: u64,
    fill_percent: Option<f64>,
    room_left_bytes: Option<u64>,
    is_full: Option<bool>,
    entry_count: u64,
    free_entry_count: u64,
    missing_entry_count: u64,
    orphan_entry_count: u64,
    /// Uses logged, at least.
    use_count: Option<u64>,
    looked_up_count: Option<u32>,
    failure_count: Option<u32>,
    entries_per_unique_stack: Option<f64>,
    unique_stack_count: u64,
    saturated_entry_count: u64,
    truncated_stack_count: u64,
    verified_entry_count: u64,
    found_by: &'static str,
    checks: Vec<StoreCheck>,
}

#[derive(Serialize)]
struct StoreCheck {
    text: String,
    passed: Option<bool>,
}

#[derive(Serialize)]
struct Trace {
    id: usize,
    /// Innermost first; the names of the callers that are returned into.
    frames: Vec<String>,
    /// The return addresses of the frames.
    addresses: Vec<String>,
    is_truncated: bool,
    entries_per_dump: Vec<Option<u64>>,
    count_per_dump: Vec<Option<u64>>,
    saturated_entries_per_dump: Vec<Option<u64>>,
    store_bytes_per_dump: Vec<Option<u64>>,
    /// Blocks in use that this stack allocated, and what was asked for; `null` where the heaps do not tell.
    outstanding_count_per_dump: Vec<Option<u64>>,
    outstanding_bytes_per_dump: Vec<Option<u64>>,
}

/// A heap log may hold hundreds of thousands of stacks; a report with all of them would help nobody.
const MOST_TRACES: usize = 10_000;

#[derive(Serialize)]
struct ThreadSeries {
    tid: u32,
    created: Option<String>,
    cpu_ns_per_interval: Vec<Option<u64>>,
    /// For each interval whether the stack at its end is another than at its start; `null` where one is not known.
    stack_changed: Option<Vec<Option<bool>>>,
}

/// The report as pretty-printed JSON, ending in a newline.
pub fn json_report(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) -> Result<String, serde_json::Error> {
    let numbers = |dumps: &[DumpIdx]| dumps.iter().map(|dump| dump.0 + 1).collect::<Vec<_>>();
    let processes: Vec<Process> = analysis
        .groups
        .iter()
        .map(|group| Process {
            image: group.identity.image.clone(),
            pid: group.identity.pid,
            created: group.identity.created.map(|time| time.to_string()),
            dumps: numbers(&group.dumps),
        })
        .collect();
    let main_snapshots: Vec<Arc<Snapshot>> = analysis
        .main_group()
        .map(|group| group.dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect())
        .unwrap_or_default();
    let main_symbols = analysis.main_group().map(|group| analysis.symbols_of(group));
    let main_threads = analysis.main_group().and_then(|group| analysis.thread_stacks_of(group));
    let main_traces = analysis.main_group().and_then(|group| analysis.traces_of(group)).map(Arc::as_ref);
    let main_outstanding = analysis.main_group().and_then(|group| analysis.outstanding_of(group)).map(Arc::as_ref);
    let report = Report {
        schema: SCHEMA,
        process: processes.first().cloned().or_else(|| process_of_logs(analysis)),
        processes,
        dumps: analysis
            .snapshots
            .iter()
            .enumerate()
            .map(|(index, snapshot)| dump(analysis, DumpIdx(index), snapshot))
            .collect(),
        baseline: baseline.map(|dump| dump.0 + 1),
        threads: thread_histories(&main_snapshots)
            .into_iter()
            // A service may start thousands between two dumps.
            .filter(|history| history.has_known_interval() || main_snapshots.len() < 2)
            .map(|history| ThreadSeries {
                tid: history.tid,
                created: history.created.map(|time| time.to_string()),
                cpu_ns_per_interval: history
                    .cpu_per_interval
                    .iter()
                    .map(|spent| spent.map(|spent| spent.total_ns()))
                    .collect(),
                stack_changed: main_threads.map(|threads| {
                    (1..main_snapshots.len())
                        .map(|dump| threads.change(&history, dump).map(|change| change != StackChange::Same))
                        .collect()
                }),
            })
            .collect(),
        traces: main_traces.zip(main_symbols.as_ref()).map(|(found, symbols)| traces(found, main_outstanding, symbols)),
        traces_left_out_count: main_traces.map(|traces| {
            let unlisted_count = traces.stacks.len().saturating_sub(MOST_TRACES) as u64;
            traces.stacks.left_out_count.saturating_add(unlisted_count)
        }),
        module_series: analysis.main_group().and_then(|group| module_series(analysis, &group.compared_dumps(baseline))),
        handles: analysis.main_group().and_then(|group| handles(analysis, &group.compared_dumps(baseline))),
        time_to_full: analysis
            .main_group()
            .map(|group| time_to_full(analysis, &group.compared_dumps(baseline)))
            .unwrap_or_default(),
        findings: findings_of(analysis, baseline),
        umdh: analysis.umdh.is_some().then(|| umdh(analysis)),
        umdh_series: analysis.umdh.is_some().then(|| umdh_series(analysis)),
        failures: analysis
            .failures
            .iter()
            .map(|failure| FileText { file: failure.path.display().to_string(), text: failure.text.clone() })
            .collect(),
        notes: analysis
            .notes
            .iter()
            .map(|note| Note { text: note.text.clone(), dumps: numbers(&note.dumps) })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn findings_of(analysis: &Analysis, baseline: Option<DumpIdx>) -> Vec<FindingEntry> {
    let Some(group) = analysis.main_group() else { return Vec::new() };
    let interval = group.compared_dumps(baseline);
    finding_entries(&findings(analysis, &interval), &target_of(analysis, &interval))
}

/// Where there are logs alone.
fn process_of_logs(analysis: &Analysis) -> Option<Process> {
    let identity = &analysis.log_groups.first()?.identity;
    Some(Process { image: identity.image.clone(), pid: identity.pid, created: None, dumps: Vec::new() })
}

fn dump(analysis: &Analysis, dump: DumpIdx, snapshot: &Snapshot) -> Dump {
    let stores = stores_of(analysis, dump);
    let decoded = heaps_of(analysis, dump);
    let table = analysis.group_of(dump).map(|group| analysis.symbols_of(group)).unwrap_or_default();
    let symbols = Some(table.as_ref()).filter(|table| !table.modules().is_empty());
    let file = &snapshot.dump;
    let peb = snapshot.main_peb();
    let (entries, stacks_left_out_count) = threads(analysis, dump, snapshot, &table);
    Dump {
        file: snapshot.file_name(),
        path: file.path.display().to_string(),
        size_bytes: file.file_bytes,
        time: snapshot.time().map(|time| time.to_string()),
        arch: file.system.as_ref().map(|system| system.architecture.name()),
        wow64: snapshot.wow64,
        os: file.system.as_ref().map(|system| Os {
            version: system.version_text(),
            build: system.build,
            service_pack: system.service_pack.clone(),
        }),
        problems: analysis
            .problems_of(dump)
            .map(|problem| Problem {
                r#where: problem.place.clone(),
                text: problem.text.clone(),
                kind: problem.kind.word(),
            })
            .collect(),
        problems_left_out_count: snapshot.problems.left_out_count(),
        address_space: address_space(snapshot),
        memory_bytes: file.memory.size_bytes(),
        handle_count: file.handles.as_ref().map(Vec::len),
        pebs: snapshot
            .pebs
            .iter()
            .map(|peb| Peb { base: peb.base.to_string(), pointer_bits: peb.width.bits() })
            .collect(),
        tebs: snapshot
            .tebs
            .iter()
            .map(|teb| Teb { base: teb.base.to_string(), tid: teb.tid, pointer_bits: teb.width.bits() })
            .collect(),
        global_flag: peb.map(|peb| GlobalFlag {
            value: format!("{:#x}", peb.nt_global_flag),
            names: global_flag::names(peb.nt_global_flag),
        }),
        command_line: peb.and_then(|peb| peb.parameters.as_ref()?.command_line.clone()),
        modules: file.modules.as_ref().map(|modules| modules.iter().map(|record| module(record, symbols)).collect()),
        threads: file.threads.as_ref().map(|_| entries),
        stacks_left_out_count,
        heaps: heaps(snapshot, decoded),
        lfh_keys: decoded.map(lfh_keys),
        outstanding: outstanding_of(analysis, dump),
        trace_stores: stores.map(|stores| stores.iter().map(store).collect()),
        comments: file.comments.clone(),
    }
}

fn address_space(snapshot: &Snapshot) -> AddressSpace {
    let totals = &snapshot.address_space.totals;
    let group = |sizes: Sizes| GroupSizes {
        committed_bytes: sizes.committed_bytes,
        reserved_bytes: sizes.reserved_bytes,
        region_count: sizes.region_count,
    };
    AddressSpace {
        map: match snapshot.address_space.completeness {
            Completeness::Complete => "complete",
            Completeness::Partial => "partial",
        },
        region_count: totals.entry_count(),
        region_count_by_state: CountByState {
            free: totals.entry_count_of(State::Free),
            reserved: totals.entry_count_of(State::Reserve),
            committed: totals.entry_count_of(State::Commit),
        },
        committed_bytes: totals.committed_bytes(),
        reserved_bytes: totals.reserved_bytes(),
        free_bytes: totals.free_bytes(),
        largest_free_bytes: totals.largest_free().map(|range| range.size_bytes()),
        largest_free_below_4gb_bytes: totals.largest_free_below_4gb().map(|range| range.size_bytes()),
        by_type: MemoryType::ALL
            .into_iter()
            .map(|memory_type| {
                (crate::present::words::type_name(memory_type), totals.type_sizes(memory_type).map(group))
            })
            .collect(),
        by_usage: Usage::IN_USE.into_iter().map(|usage| (usage.key(), totals.usage_sizes(usage).map(group))).collect(),
    }
}

fn module(module: &ModuleRecord, symbols: Option<&SymbolTable>) -> Module {
    // The names are those of one dump of the series; in another one a module may lie elsewhere.
    let symbols = symbols.and_then(|symbols| symbols.module_at(module.base)).filter(|of| of.range == module.range());
    Module {
        base: module.base.to_string(),
        size_bytes: module.size_bytes,
        name: module.file_name().to_owned(),
        path: module.path.clone(),
        version: module.file_version.map(version_text),
        pdb: module.pdb.as_ref().map(|pdb| pdb.path.clone()),
        pdb_id: module.pdb.as_ref().map(|pdb| pdb.store_id.clone()),
        symbols: symbols.map(|symbols| symbols.quality.word()),
        symbols_note: symbols.map(|symbols| symbols.note.clone()),
    }
}

fn store(store: &TraceStore) -> Store {
    let health = Health::of(store);
    let is_pre_committed = store.header.counts.is_some_and(|counts| counts.is_pre_committed);
    Store {
        kind: match store.header.kind {
            StoreKind::Indexed => "indexed",
            StoreKind::HeapLog => "heap_log",
        },
        base: store.header.base.to_string(),
        layout: layout_text(store),
        proof: if store.header.is_layout_from_pdb { "pdb" } else { "facts" },
        reserved_bytes: health.reserved_bytes,
        committed_bytes: store.committed_bytes,
        fill_percent: health.fill_percent,
        room_left_bytes: health.room_left_bytes.filter(|_| !is_pre_committed),
        is_full: health.is_full.filter(|_| !is_pre_committed),
        entry_count: store.entry_count,
        free_entry_count: store.free_entry_count,
        missing_entry_count: store.missing_entry_count,
        orphan_entry_count: store.orphan_entry_count,
        use_count: (store.header.kind == StoreKind::Indexed).then_some(store.use_count),
        looked_up_count: store.header.counts.map(|counts| counts.looked_up_count),
        failure_count: store.header.counts.and_then(|counts| counts.failure_count),
        entries_per_unique_stack: health.entries_per_unique_stack,
        unique_stack_count: store.unique_stack_count,
        saturated_entry_count: store.saturated_entry_count,
        truncated_stack_count: store.truncated_stack_count,
        verified_entry_count: store.verified_entry_count,
        found_by: found_by_word(store.header.found_by),
        checks: store
            .evidence
            .iter()
            .map(|check| StoreCheck { text: check.text.clone(), passed: check.passed })
            .collect(),
    }
}

fn traces(traces: &SeriesTraces, outstanding: Option<&SeriesOutstanding>, symbols: &SymbolTable) -> Vec<Trace> {
    let stacks = &traces.stacks;
    let counts = |stack: usize, pick: fn(StackCounts) -> u64| {
        (0..stacks.dump_count()).map(|dump| stacks.counts(stack, dump).map(pick)).collect::<Vec<_>>()
    };
    let held = |stack: usize, pick: fn(Outstanding) -> u64| {
        let of = |dump| outstanding.and_then(|held| held.of(stack, dump)).map(pick);
        (0..stacks.dump_count()).map(of).collect::<Vec<_>>()
    };
    (0..stacks.len().min(MOST_TRACES))
        .map(|stack| Trace {
            id: stack + 1,
            frames: stacks.frames(stack).map(|va| frame_text(symbols, va, stacks.width(stack))).collect(),
            addresses: stacks.frames(stack).map(|va| va.to_string()).collect(),
            is_truncated: stacks.is_cut_off(stack),
            entries_per_dump: counts(stack, |counts| counts.entry_count),
            count_per_dump: counts(stack, |counts| counts.use_count),
            saturated_entries_per_dump: counts(stack, |counts| counts.saturated_entry_count),
            store_bytes_per_dump: counts(stack, |counts| counts.store_bytes),
            outstanding_count_per_dump: held(stack, |held| held.block_count),
            outstanding_bytes_per_dump: held(stack, |held| held.user_bytes),
        })
        .collect()
}
