//! The pipeline in order: files → dumps → snapshots → series → traces → symbols.

use std::collections::{BTreeMap, BTreeSet};
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
pub use crate::input::symbols::search::SymbolSearch;

use super::series::group::{ProcessGroup, group_by_process};
use super::series::thread_stacks::unwind_series;
use super::series::traces::{decode_series, symbols_for, symbols_source};

use super::snapshot::{Snapshot, take_snapshot};
use super::{Analysis, Failure, Note};

/// The extensions of dump files, in lower case.
pub const DUMP_EXTENSIONS: [&str; 3] = ["dmp", "mdmp", "hdmp"];

/// Opens files and folders and analyses them as one series. Files that cannot be read become failures; the others are
/// analysed.
///
/// # Errors
/// Only when cancelled.
pub fn run(inputs: &[PathBuf], progress: &Progress) -> Result<Analysis, Cancelled> {
    progress.start("finding dumps", 0);
    let mut found = find_files(inputs);
    progress.start("opening dumps", found.files.len() as u64);
    let opened: Vec<Result<Snapshot, Failure>> =
        found.files.par_iter().map(|path| open_one(path, progress)).collect::<Result<_, Cancelled>>()?;
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
    let analysis = Analysis {
        snapshots,
        groups,
        traces: None,
        thread_stacks: None,
        symbols: None,
        failures: found.failures,
        notes,
    };
    progress.check()?;
    let remarks = remarks(&analysis);
    // What changes the meaning of everything, mixed processes, comes first.
    Ok(Analysis { notes: remarks.into_iter().chain(analysis.notes.iter().cloned()).collect(), ..analysis })
}

/// Decodes the trace stores of all dumps: the second stage, which reads all of their memory.
///
/// # Errors
/// Only when cancelled.
pub fn decode_traces(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    progress.start("decoding stack traces", analysis.snapshots.len() as u64);
    let mut traces = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        traces.push(Arc::new(decode_series(&snapshots_of(analysis, group), progress)?));
    }
    Ok(Analysis { traces: Some(traces), ..analysis.clone() })
}

/// Unwinds the stacks of all threads: a stage of its own, which needs no other.
///
/// # Errors
/// Only when cancelled.
pub fn unwind_threads(analysis: &Analysis, progress: &Progress) -> Result<Analysis, Cancelled> {
    progress.start("unwinding stacks", analysis.snapshots.len() as u64);
    let mut stacks = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        stacks.push(Arc::new(unwind_series(&snapshots_of(analysis, group), progress)?));
    }
    Ok(Analysis { thread_stacks: Some(stacks), ..analysis.clone() })
}

fn snapshots_of(analysis: &Analysis, group: &ProcessGroup) -> Vec<Arc<Snapshot>> {
    group.dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect()
}

/// Reads the symbols of the modules that occur in the stacks of traces and threads: a stage after [`decode_traces`] and
/// [`unwind_threads`]. Nothing is decoded again. Doing it once more, with other places or other files there, replaces the
/// names.
///
/// # Errors
/// Only when cancelled.
pub fn load_symbols(analysis: &Analysis, search: &SymbolSearch, progress: &Progress) -> Result<Analysis, Cancelled> {
    let mut symbols = Vec::with_capacity(analysis.groups.len());
    for group in &analysis.groups {
        let snapshots = snapshots_of(analysis, group);
        let of_traces = analysis.traces_of(group).map(|traces| traces.stacks.addresses());
        let of_threads = analysis.thread_stacks_of(group).map(|threads| threads.unique.addresses());
        let starts = snapshots.iter().flat_map(|snapshot| &snapshot.threads).filter_map(|thread| thread.start_address);
        let addresses = [of_traces, of_threads].into_iter().flatten().flatten().copied().chain(starts).collect();
        let search = with_dump_folders(search, &snapshots);
        symbols.push(Arc::new(match symbols_source(&snapshots) {
            Some(snapshot) => symbols_for(snapshot, addresses, &search, progress)?,
            None => SymbolTable::default(),
        }));
    }
    Ok(Analysis { symbols: Some(symbols), ..analysis.clone() })
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

/// Symbols are looked for beside the dumps too.
fn with_dump_folders(search: &SymbolSearch, snapshots: &[Arc<Snapshot>]) -> SymbolSearch {
    let mut search = search.clone();
    for folder in snapshots.iter().filter_map(|snapshot| snapshot.dump.path.parent()) {
        // The parent of a bare file name is empty, and means the working folder.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !search.beside.iter().any(|known| known == folder) {
            search.beside.push(folder.to_owned());
        }
    }
    search
}

#[derive(Default)]
struct FoundFiles {
    files: Vec<PathBuf>,
    failures: Vec<Failure>,
    notes: Vec<Note>,
}

/// A folder stands for every dump in it, but not for those in its sub-folders.
fn find_files(inputs: &[PathBuf]) -> FoundFiles {
    let mut found = FoundFiles::default();
    let mut seen = BTreeSet::new();
    for input in inputs {
        let files = if input.is_dir() { dumps_in_folder(input, &mut found.failures) } else { vec![input.clone()] };
        for file in files {
            let canonical = file.canonicalize().unwrap_or_else(|_| file.clone());
            if seen.insert(canonical) {
                found.files.push(file);
            } else {
                let text = format!("named more than once and used once: {}", printable_path(&file));
                found.notes.push(Note { text, dumps: Vec::new() });
            }
        }
    }
    found
}

fn dumps_in_folder(folder: &Path, failures: &mut Vec<Failure>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let text = format!("cannot be listed: {error}; check that you may read it: {}", printable_path(folder));
            failures.push(Failure { path: folder.to_owned(), text });
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if is_dump_name(&entry.path()) => files.push(entry.path()),
            Ok(_) => {}
            Err(error) => {
                let text = format!("cannot be listed to its end: {error}: {}", printable_path(folder));
                failures.push(Failure { path: folder.to_owned(), text });
                break;
            }
        }
    }
    files.sort();
    if files.is_empty() {
        let text =
            format!("holds no .dmp, .mdmp or .hdmp file; choose the folder with the dumps: {}", printable_path(folder));
        failures.push(Failure { path: folder.to_owned(), text });
    }
    files
}

/// Whether a file's extension says that it is a dump.
pub fn is_dump_name(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| DUMP_EXTENSIONS.contains(&extension.as_str())) && !path.is_dir()
}

fn open_one(path: &Path, progress: &Progress) -> Result<Result<Snapshot, Failure>, Cancelled> {
    progress.check()?;
    // One dump that makes the program stumble must not take the others with it.
    let result = catch_unwind(AssertUnwindSafe(|| match dump::open(path) {
        Ok(dump) => take_snapshot(dump, progress).map(Ok),
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

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum NamePart {
    Number(u128),
    Text(String),
}

fn natural_key(name: &str) -> Vec<NamePart> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        // A number too long for 128 bits sorts as text.
        let part = part
            .parse()
            .ok()
            .filter(|_| is_number)
            .map_or_else(|| NamePart::Text(part.to_lowercase()), NamePart::Number);
        parts.push(part);
        rest = after;
    }
    parts
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_with_numbers_by_value() {
        let mut names = ["dump-10.dmp", "dump-9.dmp", "Dump-1.dmp"];
        names.sort_by_cached_key(|name| natural_key(name));
        assert_eq!(names, ["Dump-1.dmp", "dump-9.dmp", "dump-10.dmp"]);
    }
}
