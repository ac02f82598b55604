//! One dump with all its parts joined.

mod allocations;
mod claim_regions;
pub mod heaps;
pub mod ntdll_facts;
pub mod pdb_frames;
pub mod thread_stacks;
pub mod trace_entries;

use std::collections::BTreeMap;

use ntdll_facts::{NtdllFacts, read_ntdll_facts};

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::ids::{HeapIdx, ModuleIdx};
use crate::base::printable::file_name;
use crate::base::problems::Problems;
use crate::base::progress::{Cancelled, Progress};
use crate::base::time::UtcTime;
use crate::input::dump::Dump;
use crate::input::dump::system::Architecture;
use crate::input::image::debug::read_pdb_reference;
use crate::input::image::read_headers;
use crate::input::symbols::search::SymbolSearch;
use crate::process::heap::extent::{HeapExtent, HeapPlace, read_extent};
use crate::process::heap::head::HeapKind;
use crate::process::heap::lists::LINK_BUDGET;
use crate::process::peb::{Peb, global_flag, read_peb};
use crate::process::regions::AddressSpace;
use crate::process::regions::map::{ModuleRange, map_from_memory_info, map_from_memory_ranges};
use crate::process::regions::usage::Usage;
use crate::process::threads::cpu_times::{CpuTimes, cpu_times};
use crate::process::threads::teb::{Teb, read_teb, read_wow64_teb};
use crate::process::traces::{Hints, StoreHeader, find_stores};

use allocations::Allocations;

/// One dump: the records of its streams, and what was decoded from the memory in it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub dump: Dump,
    pub identity: ProcessIdentity,
    /// Whether the process is 32-bit on a 64-bit Windows. `None` where the dump does not tell: a dump without TEBs, or one by
    /// a 32-bit tool, which sees only the 32-bit half of either.
    pub wow64: Option<bool>,
    /// Whether a 32-bit program may use addresses above 2 GB; `None` for others, and where the dump lacks its image.
    pub is_large_address_aware: Option<bool>,
    pub pebs: Vec<Peb>,
    pub tebs: Vec<Teb>,
    pub threads: Vec<Thread>,
    /// Heaps of all PEBs, 64-bit first.
    pub heaps: Vec<ProcessHeap>,
    /// Stores of the stack trace database, found and not decoded.
    pub trace_stores: Vec<StoreHeader>,
    pub address_space: AddressSpace,
    /// What ntdll's PDB tells, where it was at hand when the dump was opened.
    #[serde(skip)]
    pub ntdll: NtdllFacts,
    pub problems: Problems,
    thread_positions: BTreeMap<u32, usize>,
}

/// What tells one process from another; parts that the dump does not have are `None`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub image: Option<String>,
    pub pid: Option<u32>,
    pub created: Option<UtcTime>,
}

/// One thread, joined from the thread list, thread info and names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Thread {
    pub tid: u32,
    pub name: Option<String>,
    pub created: Option<UtcTime>,
    pub times: CpuTimes,
    pub start_address: Option<Va>,
    pub teb: Option<Va>,
    pub suspend_count: Option<u32>,
    pub has_exited: bool,
    /// Whether the thread list has it; threads that ended are in the thread info list only.
    pub is_listed: bool,
}

/// One entry of a PEB's heap list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessHeap {
    /// In its PEB's list.
    pub index: HeapIdx,
    pub extent: HeapExtent,
    /// Of the PEB: decides between layouts that fit equally well.
    pub os_build: Option<u32>,
    /// Not so for the heap that serves a page heap, which is in no list.
    pub is_listed: bool,
}

impl Snapshot {
    /// When the dump was written.
    pub fn time(&self) -> Option<UtcTime> {
        self.dump.header.time
    }

    /// The file's name, made safe to show.
    pub fn file_name(&self) -> String {
        let name = self.dump.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        crate::base::printable::printable(&name)
    }

    /// The bitness in which this dump's addresses are shown: 32 when nothing in it is 64-bit.
    pub fn pointer_width(&self) -> PointerWidth {
        self.dump.system.as_ref().map_or(PointerWidth::Bits64, |system| system.architecture.pointer_width())
    }

    /// The PEB that the program itself sees: the 32-bit one of a WOW64 process.
    pub fn main_peb(&self) -> Option<&Peb> {
        let wanted = if self.is_wow64() { PointerWidth::Bits32 } else { self.pointer_width() };
        self.pebs.iter().find(|peb| peb.width == wanted).or_else(|| self.pebs.first())
    }

    pub fn module_name(&self, module: ModuleIdx) -> Option<&str> {
        self.dump.modules.as_ref()?.get(module.0).map(|module| module.file_name())
    }

    /// Whether the process is known to be 32-bit on a 64-bit Windows.
    pub fn is_wow64(&self) -> bool {
        self.wow64 == Some(true)
    }

    /// The position of a thread in the thread list, which WinDbg numbers threads by.
    pub fn thread_index(&self, tid: u32) -> Option<usize> {
        self.thread_positions.get(&tid).copied()
    }
}

/// Joins what one dump says.
///
/// # Errors
/// Only when cancelled.
pub fn take_snapshot(dump: Dump, progress: &Progress) -> Result<Snapshot, Cancelled> {
    take_snapshot_with(dump, &SymbolSearch::default(), progress)
}

/// The same; the trace stores are found by ntdll's variables where its PDB is in a place of `search` on this machine.
///
/// # Errors
/// Only when cancelled.
pub fn take_snapshot_with(mut dump: Dump, search: &SymbolSearch, progress: &Progress) -> Result<Snapshot, Cancelled> {
    fill_in_pdb_references(&mut dump);
    let mut problems = dump.problems.clone();
    let (tebs, wow64) = read_tebs(&dump, progress)?;
    let is_wow64 = wow64 == Some(true);
    let pebs = read_pebs(&dump, &tebs, &mut problems);
    let ntdll = read_ntdll_facts(&dump, search, progress)?;
    let heaps = read_heaps(&dump, &pebs, &ntdll, &mut problems, progress)?;
    let allocations = Allocations::new(&dump);
    let trace_stores = find_trace_stores(&dump, &allocations, ntdll.hints, &mut problems, progress)?;
    let claims = claim_regions::claim_regions(&allocations, &pebs, &tebs, &heaps, &trace_stores);
    progress.check()?;
    let modules: Vec<ModuleRange> = dump
        .modules
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, module)| ModuleRange { module: ModuleIdx(index), range: module.range() })
        .collect();
    let unknown_uses = unknown_uses(&dump, is_wow64, &pebs, &tebs, &heaps, &trace_stores);
    let address_space = match &dump.memory_info {
        Some(records) if !records.is_empty() => {
            map_from_memory_info(records, dump.has_whole_memory_info, &modules, &claims, &unknown_uses, &mut problems)
        }
        _ => map_from_memory_ranges(
            dump.memory.ranges().iter().map(|range| range.range),
            &modules,
            &claims,
            &unknown_uses,
        ),
    };
    progress.check()?;
    Ok(Snapshot {
        identity: identify(&dump, &pebs, is_wow64),
        thread_positions: dump.threads.iter().flatten().enumerate().map(|(at, thread)| (thread.tid, at)).collect(),
        threads: join_threads(&dump),
        wow64,
        is_large_address_aware: is_large_address_aware(&dump, &pebs),
        pebs,
        tebs,
        heaps,
        trace_stores,
        address_space,
        ntdll,
        problems,
        dump,
    })
}

fn is_large_address_aware(dump: &Dump, pebs: &[Peb]) -> Option<bool> {
    let peb = pebs.iter().find(|peb| peb.width == PointerWidth::Bits32)?;
    Some(read_headers(&dump.memory, peb.image_base)?.is_large_address_aware)
}

/// Where the module list does not name a module's PDB, its image in the dump may.
fn fill_in_pdb_references(dump: &mut Dump) {
    for module in dump.modules.iter_mut().flatten().filter(|module| module.pdb.is_none()) {
        module.pdb = read_headers(&dump.memory, module.base).and_then(|image| read_pdb_reference(&dump.memory, &image));
    }
}

/// TEBs of all threads in both bitnesses, and whether threads have two of them.
fn read_tebs(dump: &Dump, progress: &Progress) -> Result<(Vec<Teb>, Option<bool>), Cancelled> {
    let architecture = dump.system.as_ref().map_or(Architecture::X64, |system| system.architecture);
    let width = architecture.pointer_width();
    let mut bases: Vec<Va> = dump.threads.iter().flatten().map(|thread| thread.teb).collect();
    bases.sort_unstable();
    bases.dedup();
    // The layer that runs 32-bit programs is loaded in no other process.
    let has_layer = dump.modules.iter().flatten().any(|module| module.file_name().eq_ignore_ascii_case("wow64.dll"));
    let (mut tebs, mut wow64) = (Vec::new(), has_layer.then_some(true));
    for base in bases {
        progress.check()?;
        let Some(teb) = read_teb(&dump.memory, base, width) else { continue };
        let second = (width == PointerWidth::Bits64).then(|| read_wow64_teb(&dump.memory, &teb)).flatten();
        if second.is_some() {
            wow64 = Some(true);
        } else if width == PointerWidth::Bits64 && wow64.is_none() {
            wow64 = Some(false);
        }
        tebs.push(teb);
        tebs.extend(second);
    }
    Ok((tebs, wow64))
}

/// The PEBs that the TEBs point at, 64-bit first.
fn read_pebs(dump: &Dump, tebs: &[Teb], problems: &mut Problems) -> Vec<Peb> {
    let mut places: Vec<(PointerWidth, Va)> = tebs.iter().map(|teb| (teb.width, teb.peb)).collect();
    places.sort_by_key(|(width, va)| (std::cmp::Reverse(*width), *va));
    places.dedup();
    // One PEB for each bitness is all that a process has; damaged TEBs may point anywhere.
    let mut pebs: Vec<Peb> = Vec::new();
    let mut surplus_count: u64 = 0;
    for (width, va) in places {
        if pebs.iter().any(|peb| peb.width == width) {
            surplus_count += 1;
            continue;
        }
        match read_peb(&dump.memory, va, width, problems) {
            Some(peb) => pebs.push(peb),
            None => problems
                .missing(format!("PEB at {va}"), "is not in the dump: flags, heaps and environment are not known"),
        }
    }
    if surplus_count > 0 {
        let text = format!("point at {surplus_count} more PEBs than a process has; the first of each bitness is used");
        problems.damage("TEBs", text);
    }
    if tebs.is_empty() && dump.threads.as_ref().is_some_and(|threads| !threads.is_empty()) {
        problems.missing("TEBs", "are not in the dump: the PEB, stack bounds and heaps are not known");
    }
    pebs
}

/// Uses of which the dump does not hold all structures, or this version does not follow them: a sum over the others would
/// be a false number.
fn unknown_uses(
    dump: &Dump,
    is_wow64: bool,
    pebs: &[Peb],
    tebs: &[Teb],
    heaps: &[ProcessHeap],
    trace_stores: &[StoreHeader],
) -> Vec<Usage> {
    let mut unknown = Vec::new();
    // A store is known by its first pages, which a dump without full memory may lack; and one that must be there and was not
    // found has a layout that we do not know.
    let is_switched_on = pebs.iter().any(|peb| peb.nt_global_flag & global_flag::UST != 0);
    let is_not_found = is_switched_on && trace_stores.is_empty();
    if !dump.header.has_full_memory() || dump.memory_info.is_none() || is_not_found {
        unknown.push(Usage::StackTraceDatabase);
    }
    let bitness_count = if is_wow64 { 2 } else { 1 };
    let threads = dump.threads.iter().flatten().filter(|thread| !thread.teb.is_null());
    let teb_bases: std::collections::BTreeSet<Va> = threads.map(|thread| thread.teb).collect();
    let has_all_tebs = !teb_bases.is_empty() && teb_bases.len().saturating_mul(bitness_count) == tebs.len();
    if !has_all_tebs {
        unknown.push(Usage::Teb);
    }
    if !has_all_tebs || tebs.iter().any(|teb| teb.stack.is_none()) {
        unknown.push(Usage::Stack);
    }
    let has_all_pebs = pebs.len() == bitness_count;
    if !has_all_pebs {
        unknown.extend([Usage::Peb, Usage::Other]);
    }
    // Every Windows process has a heap: an empty list is one that could not be read.
    let has_all_heaps = has_all_pebs && pebs.iter().all(Peb::has_whole_heap_list);
    // Behind a page heap stands a heap of the usual kind.
    if !has_all_heaps || heaps.iter().any(|heap| !heap.extent.is_whole) {
        unknown.push(Usage::Heap);
    }
    // What is no known heap may be a page heap.
    let may_be_page_heap = |kind: HeapKind| !matches!(kind, HeapKind::Nt | HeapKind::Segment);
    if !has_all_heaps || heaps.iter().any(|heap| may_be_page_heap(heap.extent.kind) && !heap.extent.is_whole) {
        unknown.push(Usage::PageHeap);
    }
    unknown
}

/// Looks for the stores of the stack trace database in private read-write memory, by ntdll's variables and by their
/// structure.
fn find_trace_stores(
    dump: &Dump,
    allocations: &Allocations,
    hints: Hints,
    problems: &mut Problems,
    progress: &Progress,
) -> Result<Vec<StoreHeader>, Cancelled> {
    let modules: Vec<VaRange> = dump.modules.iter().flatten().map(|module| module.range()).collect();
    let candidates = allocations.private_read_write();
    let found = find_stores(&dump.memory, &candidates, &modules, hints, progress)?;
    problems.extend(found.problems);
    Ok(found.stores)
}

fn read_heaps(
    dump: &Dump,
    pebs: &[Peb],
    ntdll: &NtdllFacts,
    problems: &mut Problems,
    progress: &Progress,
) -> Result<Vec<ProcessHeap>, Cancelled> {
    let mut heaps = Vec::new();
    let mut link_budget = LINK_BUDGET;
    for peb in pebs {
        let pdb_layout = ntdll.of(peb.width).and_then(|of_width| of_width.heap_layout);
        for (index, base) in peb.heaps.iter().enumerate() {
            progress.check()?;
            let os_build = (peb.os_build != 0).then_some(u32::from(peb.os_build));
            let place = HeapPlace { base: *base, width: peb.width, position: Some(index), os_build, pdb_layout };
            let extent = read_extent(&dump.memory, place, &mut link_budget, problems);
            let behind = extent.normal_heap;
            heaps.push(ProcessHeap { index: HeapIdx(index), extent, os_build, is_listed: true });
            if let Some(base) = behind {
                let place = HeapPlace { base, position: None, ..place };
                let extent = read_extent(&dump.memory, place, &mut link_budget, problems);
                heaps.push(ProcessHeap { index: HeapIdx(index), extent, os_build, is_listed: false });
            }
        }
    }
    Ok(heaps)
}

/// The image is the PEB's, else the first module's: Windows loads the program before anything else.
fn identify(dump: &Dump, pebs: &[Peb], is_wow64: bool) -> ProcessIdentity {
    let wanted = if is_wow64 { PointerWidth::Bits32 } else { PointerWidth::Bits64 };
    let peb = pebs.iter().find(|peb| peb.width == wanted).or_else(|| pebs.first());
    let modules = dump.modules.as_deref().unwrap_or_default();
    let by_base = peb.and_then(|peb| modules.iter().find(|module| module.base == peb.image_base));
    let by_parameters = peb
        .and_then(|peb| peb.parameters.as_ref()?.image_path.as_deref())
        .map(file_name)
        .filter(|name| !name.is_empty());
    let module_name = by_base.or_else(|| modules.first()).and_then(|module| module.path.as_deref()).map(file_name);
    ProcessIdentity {
        image: by_base.and(module_name).or(by_parameters).or(module_name).map(str::to_owned),
        pid: dump.misc.as_ref().and_then(|misc| misc.pid),
        created: dump.misc.as_ref().and_then(|misc| misc.process_created),
    }
}

fn join_threads(dump: &Dump) -> Vec<Thread> {
    let infos: BTreeMap<u32, _> = dump.thread_infos.iter().flatten().map(|info| (info.tid, info)).collect();
    let listed: Vec<_> = dump.threads.iter().flatten().collect();
    let listed_tids: std::collections::BTreeSet<u32> = listed.iter().map(|thread| thread.tid).collect();
    let only_in_infos = infos.keys().filter(|tid| !listed_tids.contains(tid)).map(|tid| (*tid, None));
    let all = listed.iter().map(|thread| (thread.tid, Some(*thread))).chain(only_in_infos);
    all.map(|(tid, thread)| {
        let info = infos.get(&tid);
        Thread {
            tid,
            name: dump.thread_names.get(&tid).cloned(),
            created: info.and_then(|info| info.created),
            times: info.map(|info| cpu_times(info, dump.header.time)).unwrap_or_default(),
            start_address: info.map(|info| info.start_address).filter(|va| !va.is_null()),
            teb: thread.map(|thread| thread.teb).filter(|va| !va.is_null()),
            suspend_count: thread.map(|thread| thread.suspend_count),
            has_exited: info.is_some_and(|info| info.has_exited()),
            is_listed: thread.is_some(),
        }
    })
    .collect()
}
