//! The pipeline in order: files → dumps → snapshots → series → traces → logs → symbols.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::base::addr::Va;
use crate::base::ids::DumpIdx;
use crate::base::printable::printable_path;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump;
use crate::input::symbols::SymbolTable;
pub use crate::input::symbols::environment::{remove_caches, symbol_search};
pub use crate::input::symbols::search::{Downloads, SymbolSearch};

use super::capsule::{CapsuleError, read_capsule};
pub use super::find_files::{DUMP_EXTENSIONS, LOG_EXTENSIONS};
use super::find_files::{FoundFiles, find_files, natural_key};
use super::names::{NamedStacks, name_series, named_stacks};
pub use super::run_logs::read_logs;
use super::run_logs::{log_notes, open_logs};
use super::series::group::{ProcessGroup, group_by_process};
use super::series::heaps;
use super::series::outstanding::join_outstanding;
use super::series::thread_stacks::unwind_series;
use super::series::traces::{decode_series, symbols_for, symbols_source};

use super::diagnosis;
use super::series::umdh_group::group_logs;
use super::snapshot::{Snapshot, take_snapshot_with};
use super::{Analysis, Failure, Note};

/// Opens files and folders and analyses them as one series. Files that cannot be read become failures; the others are
/// analysed.
///
/// # Errors
/// Only when cancelled.
pub fn run(inputs: &[PathBuf], progress: &Progress) -> Result<Analysis, Cancelled> {
    run_with_symbols(inputs, &SymbolSearch::default(), progress)
}

/// The same, with the places for symbols: ntdll's, found on this machine, lead to its trace stores.
///
/// # Errors
/// Only when cancelled.
pub fn run_with_symbols(inputs: &[PathBuf], search: &SymbolSearch, progress: &Progress) -> Result<Analysis, Cancelled> {
    progress.start("finding dumps", 0);
    let mut found = find_files(inputs);
    if let Some(opened) = open_capsule(&mut found, progress)? {
        return Ok(opened);
    }
    progress.start("opening dumps", found.dumps.len() as u64);
    let opened: Vec<Result<Snapshot, Failure>> =
        found.dumps.par_iter().map(|path| open_one(path, search, progress)).collect::<Result<_, Cancelled>>()?;
    let mut snapshots = Vec::new();
    for result in opened {
        match result {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(failure) => found.failures.push(failure),
        }
    }
    progress.start("comparing dumps", 0);
    sort_by_time(&mut snapshots);
    let mut notes = found.notes;
    let snapshots: Vec<Arc<Snapshot>> = leave_out_copies(snapshots, &mut notes).into_iter().map(Arc::new).collect();
    let groups = group_by_process(&snapshots);
    progress.start("opening UMDH logs", 0);
    let files = open_logs(&found.logs, &mut found.failures, &mut notes);
    let (logs, log_groups) = group_logs(files, &snapshots, &groups);
    notes.extend(log_notes(&logs, &log_groups));
    let analysis = Analysis {
        snapshots,
        groups,
        logs,
        log_groups,
        umdh: None,
        traces: None,
        heaps: None,
        outstanding: None,
        thread_stacks: None,
        symbols: None,
        findings: None,
        failures: found.failures,
        notes,
        capsule: None,
    };
    progress.check()?;
    let remarks = remarks(&analysis);
    // What changes the meaning of everything, mixed processes, comes first.
    Ok(Analysis { notes: remarks.into_iter().chain(analysis.notes.iter().cloned()).collect(), ..analysis })
}

/// A capsule is a whole series: it opens alone, and what it holds does not join other files.
fn open_capsule(found: &mut FoundFiles, progress: &Progress) -> Result<Option<Analysis>, Cancelled> {
    let has_others = !found.dumps.is_empty() || !found.logs.is_empty();
    let mut capsules = std::mem::take(&mut found.capsules).into_iter();
    let opened = if has_others { None } else { capsules.next() };
    for path in capsules {
        let text =
            format!("is a case capsule, which opens alone; open it without other files: {}", printable_path(&path));
        found.failures.push(Failure { path, text });
    }
    let Some(path) = opened else { return Ok(None) };
    let read = read_small_file(&path).map_err(CapsuleError::from);
    match read.and_then(|bytes| read_capsule(path.clone(), &bytes, progress)) {
        Ok(mut analysis) => {
            analysis.failures.append(&mut found.failures);
            Ok(Some(analysis))
        }
        Err(CapsuleError::Cancelled(cancelled)) => Err(cancelled),
        Err(error) => {
            let text = format!("{error}: {}", printable_path(&path));
            found.failures.push(Failure { path, text });
            Ok(None)
        }
    }
}

/// A capsule is small, so it is read instead of mapped: it may then vanish while it is looked at.
fn read_small_file(path: &Path) -> std::io::Result<Vec<u8>> {
    const MOST_BYTES: u64 = 1 << 30;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decodes the trace stores of all dumps: the second stage, which reads all of their memory.
///
/// # Errors
/// Only when cancelled.
pub fn decode_traces(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    if analysis.capsule.is_some() {
        return Ok(analysis.clone());
    }
    progress.start("decoding stack traces", analysis.snapshots.len() as u64);
    let mut traces = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        traces.push(Arc::new(decode_series(&snapshots_of(analysis, group), progress)?));
    }
    Ok(Analysis { traces: Some(traces), ..analysis.clone() })
}

/// Decodes the heaps of all dumps: a stage of its own, which reads all of their memory.
///
/// # Errors
/// Only when cancelled.
pub fn decode_heaps(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    if analysis.capsule.is_some() {
        return Ok(analysis.clone());
    }
    progress.start("decoding heaps", analysis.snapshots.len() as u64);
    let mut heaps = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        heaps.push(Arc::new(heaps::decode_series(&snapshots_of(analysis, group), progress)?));
    }
    Ok(Analysis { heaps: Some(heaps), ..analysis.clone() })
}

/// Ties the blocks in use to the stacks that allocated them: a stage after [`decode_heaps`] and [`decode_traces`], without
/// which it does nothing.
///
/// # Errors
/// Only when cancelled.
pub fn join_blocks_and_stacks(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    if analysis.capsule.is_some() {
        return Ok(analysis.clone());
    }
    progress.start("looking up the stacks of blocks", 0);
    let mut outstanding = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        let (Some(heaps), Some(traces)) = (analysis.heaps_of(group), analysis.traces_of(group)) else {
            return Ok(analysis.clone());
        };
        let snapshots = snapshots_of(analysis, group);
        outstanding.push(Arc::new(join_outstanding(&snapshots, heaps, &traces.stacks, progress)?));
    }
    Ok(Analysis { outstanding: Some(outstanding), ..analysis.clone() })
}

/// Unwinds the stacks of all threads: a stage of its own, which needs no other.
///
/// # Errors
/// Only when cancelled.
pub fn unwind_threads(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    if analysis.capsule.is_some() {
        return Ok(analysis.clone());
    }
    progress.start("unwinding stacks", analysis.snapshots.len() as u64);
    let mut stacks = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        stacks.push(Arc::new(unwind_series(&snapshots_of(analysis, group), &[], progress)?));
    }
    Ok(Analysis { thread_stacks: Some(stacks), ..analysis.clone() })
}

fn snapshots_of(analysis: &Analysis, group: &ProcessGroup) -> Vec<Arc<Snapshot>> {
    group.dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect()
}

/// Reads the symbols of the modules that occur in the stacks of traces, threads and logs: a stage after [`decode_traces`],
/// [`unwind_threads`] and [`read_logs`]. No trace is decoded again. Threads are unwound again where PDBs tell of x86 frames, or files of images
/// were found that a dump lacks. Doing it once more, with other places or other files there, replaces the names.
///
/// # Errors
/// Only when cancelled.
pub fn load_symbols(analysis: &Analysis, search: &SymbolSearch, progress: &Progress) -> Result<Analysis, Cancelled> {
    let mut symbols = Vec::with_capacity(analysis.groups.len());
    let mut stacks = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        let snapshots = snapshots_of(analysis, group);
        let unwound = analysis.thread_stacks_of(group);
        let addresses: Vec<Va> = analysis.shown_addresses(group).collect();
        if analysis.capsule.is_some() {
            symbols.push(Arc::new(name_capsule(analysis, group, &snapshots, addresses, search, progress)?));
            stacks.extend(unwound.cloned());
            continue;
        }
        let search = with_dump_folders(search, &snapshots);
        let named = name_series(&snapshots, unwound.map(Arc::as_ref), addresses, &search, progress)?;
        symbols.push(Arc::new(named.symbols));
        stacks.extend(named.stacks.map(Arc::new).or_else(|| unwound.cloned()));
    }
    let thread_stacks = analysis.thread_stacks.is_some().then_some(stacks);
    Ok(Analysis { symbols: Some(symbols), thread_stacks, ..analysis.clone() })
}

/// A capsule has the names that its maker had; PDBs on this machine may tell more.
fn name_capsule(
    analysis: &Analysis,
    group: &ProcessGroup,
    snapshots: &[Arc<Snapshot>],
    addresses: Vec<Va>,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<SymbolTable, Cancelled> {
    let kept = SymbolTable::clone(&analysis.symbols_of(group));
    let Some(source) = symbols_source(snapshots) else { return Ok(kept) };
    Ok(symbols_for(source, addresses, search, progress)?.joined_with(kept))
}

/// Judges the whole series of each group: the last stage, and quick. What earlier stages have not decoded makes a finding
/// undecided.
///
/// # Errors
/// Only when cancelled.
pub fn diagnose(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    progress.start("judging the series", analysis.groups.len() as u64);
    let mut findings = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        findings.push(Arc::new(diagnosis::diagnose(analysis, &group.dumps)));
        progress.tick(1)?;
    }
    Ok(Analysis { findings: Some(findings), ..analysis.clone() })
}

/// Reads the symbols of the modules of one dump that hold one of the addresses.
///
/// # Errors
/// Only when cancelled.
pub fn load_symbols_of(
    snapshot: &Arc<Snapshot>,
    search: &SymbolSearch,
    addresses: Vec<Va>,
    progress: &Progress,
) -> Result<SymbolTable, Cancelled> {
    let search = with_dump_folders(search, std::slice::from_ref(snapshot));
    symbols_for(snapshot, addresses, &search, progress)
}

/// The stacks of all threads of one dump, with names; image files are looked for where symbols are.
///
/// # Errors
/// Only when cancelled.
pub fn named_stacks_of(
    snapshot: &Arc<Snapshot>,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<NamedStacks, Cancelled> {
    named_stacks(snapshot, &with_dump_folders(search, std::slice::from_ref(snapshot)), progress)
}

/// Symbols are looked for beside the dumps too.
fn with_dump_folders(search: &SymbolSearch, snapshots: &[Arc<Snapshot>]) -> SymbolSearch {
    let mut search = search.clone();
    for snapshot in snapshots {
        search = beside_dump(&search, &snapshot.dump.path);
    }
    search
}

fn beside_dump(search: &SymbolSearch, dump: &Path) -> SymbolSearch {
    let mut search = search.clone();
    // The parent of a bare file name is empty, and means the working folder.
    let folder = dump.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    if let Some(folder) = folder.filter(|folder| !search.beside.iter().any(|known| known == folder)) {
        search.beside.push(folder.to_owned());
    }
    search
}

fn open_one(path: &Path, search: &SymbolSearch, progress: &Progress) -> Result<Result<Snapshot, Failure>, Cancelled> {
    progress.check()?;
    // One dump that makes the program stumble must not take the others with it.
    let result = catch_unwind(AssertUnwindSafe(|| match dump::open(path) {
        Ok(dump) => take_snapshot_with(dump, &beside_dump(search, path), progress).map(Ok),
        Err(error) => Ok(Err(Failure { path: path.to_owned(), text: error.to_string() })),
    }));
    progress.tick(1)?;
    result.unwrap_or_else(|_| {
        let text = format!("made dumptrend fail while reading it, please report this: {}", printable_path(path));
        Ok(Err(Failure { path: path.to_owned(), text }))
    })
}

/// By time; dumps without one come last. Of equal times, by name with numbers by value, so that dump-10 follows dump-9.
fn sort_by_time(snapshots: &mut [Snapshot]) {
    snapshots.sort_by_cached_key(|snapshot| {
        (snapshot.time().is_none(), snapshot.time(), natural_key(&snapshot.dump.path.to_string_lossy()))
    });
}

/// A copy of a dump would stand in every plot twice.
fn leave_out_copies(snapshots: Vec<Snapshot>, notes: &mut Vec<Note>) -> Vec<Snapshot> {
    let mut kept: Vec<Snapshot> = Vec::new();
    for snapshot in snapshots {
        // Equal heads and ends only hint at a copy; all bytes prove it.
        let twin = kept.iter().find(|other| {
            other.dump.fingerprint == snapshot.dump.fingerprint
                && other.dump.memory.file_bytes() == snapshot.dump.memory.file_bytes()
        });
        if let Some(twin) = twin {
            let text = format!("left out as a copy of {}: {}", twin.file_name(), printable_path(&snapshot.dump.path));
            notes.push(Note { text, dumps: Vec::new() });
        } else {
            kept.push(snapshot);
        }
    }
    kept
}

fn remarks(analysis: &Analysis) -> Vec<Note> {
    let mut notes = Vec::new();
    if analysis.groups.len() > 1 {
        let names: Vec<String> = analysis.groups.iter().map(|group| group_text(group, analysis)).collect();
        notes.push(Note {
            text: format!(
                "these dumps are of {} processes, which are compared each for itself: {}",
                analysis.groups.len(),
                names.join("; ")
            ),
            dumps: (0..analysis.snapshots.len()).map(DumpIdx).collect(),
        });
    }
    for group in &analysis.groups {
        notes.extend(equal_time_notes(group.dumps.as_slice(), analysis));
        notes.extend(mixed_width_note(group.dumps.as_slice(), analysis));
    }
    notes
}

fn group_text(group: &ProcessGroup, analysis: &Analysis) -> String {
    let image = group.identity.image.as_deref().unwrap_or("unknown image");
    let pid = group.identity.pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"));
    let created =
        group.identity.created.map_or_else(String::new, |created| format!(", started {} UTC", created.table_text()));
    format!("{image} ({pid}{created}): {}", dump_names(&group.dumps, analysis))
}

fn dump_names(dumps: &[DumpIdx], analysis: &Analysis) -> String {
    const MOST_NAMES: usize = 4;
    let mut names: Vec<String> = dumps
        .iter()
        .take(MOST_NAMES)
        .filter_map(|dump| analysis.snapshot(*dump).map(|snapshot| snapshot.file_name()))
        .collect();
    if dumps.len() > MOST_NAMES {
        names.push(format!("and {} more", dumps.len() - MOST_NAMES));
    }
    names.join(", ")
}

fn equal_time_notes(dumps: &[DumpIdx], analysis: &Analysis) -> Vec<Note> {
    let mut by_time: BTreeMap<_, Vec<DumpIdx>> = BTreeMap::new();
    for dump in dumps {
        if let Some(time) = analysis.snapshot(*dump).and_then(|snapshot| snapshot.time()) {
            by_time.entry(time).or_default().push(*dump);
        }
    }
    by_time
        .into_iter()
        .filter(|(_, dumps)| dumps.len() > 1)
        .map(|(time, dumps)| Note {
            text: format!(
                "dumps with the same time, {} UTC, are in the order of their names: {}",
                time.table_text(),
                dump_names(&dumps, analysis)
            ),
            dumps,
        })
        .collect()
}

fn mixed_width_note(dumps: &[DumpIdx], analysis: &Analysis) -> Option<Note> {
    let widths: BTreeSet<_> =
        dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).map(|snapshot| snapshot.pointer_width()).collect();
    (widths.len() > 1).then(|| Note {
        text: "some dumps of this process were written by a 32-bit tool and see only its 32-bit half; compare their totals \
               with each other only"
            .to_owned(),
        dumps: dumps.to_vec(),
    })
}
