//! A log in the form that UMDH writes, so that its readers take it: scripts, `umdh -d`, and front ends.
//!
//! A UMDH log lists the blocks of each heap. Heaps are not decoded yet, so each trace store stands here as a heap whose
//! blocks are the store's own entries, and the log says so in its head.
//!
//! **Invariant:** each stack is printed once, after the first block with its id; what is kept of it is a hash. The list of
//! modules ends the head, because readers take what follows it for modules until the first heap begins.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::analysis::snapshot::Snapshot;
use crate::analysis::snapshot::trace_entries::trace_entries;
use crate::base::addr::{PointerWidth, Va};
use crate::base::printable::{printable, printable_path};
use crate::base::problems::ProblemKind;
use crate::base::progress::{Cancelled, Progress};
use crate::present::process::environment;
use crate::process::traces::{Entry, StoreHeader, StoreKind};

/// UMDH's versions have four parts. This one is ours.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR"),
    ".",
    env!("CARGO_PKG_VERSION_PATCH"),
    ".0"
);

const RULE: &str = "*- - - - - - - - - -";
const RULE_END: &str = "- - - - - - - - - -";

/// Before the list of the stores.
const ABOUT: &str = "\
// Logtime is when the dump was written, in UTC.
// Heaps are not decoded by this version. The blocks listed here are the entries of the stack trace database
// (gflags +ust): REQUESTED bytes are those that an entry takes, and entries that were given back are left out.
// Entries with equal stacks have one id: the index of the first of them, else its address.
// A stack is a list of return addresses, the innermost first; names are left to whoever compares logs.
// What stands as a heap is a store of such entries:
";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum UmdhError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(
        "holds no stack trace database to list; switch it on with gflags /i IMAGE.exe +ust, start the program again and \
         take a dump of all memory with procdump -ma: {}",
        printable_path(path)
    )]
    NoStore { path: PathBuf },
}

/// What became of the stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    pub block_count: u64,
    pub stack_count: u64,
    /// Places in the stores where an entry should be, and the dump has bytes that are none.
    pub damaged_place_count: u64,
}

/// Writes the log of one dump, piece by piece.
///
/// # Errors
/// When the dump has no trace store, and then nothing was written; when `out` fails; when cancelled.
pub fn write_umdh(snapshot: &Snapshot, progress: &Progress, out: &mut dyn Write) -> Result<Written, UmdhError> {
    if snapshot.trace_stores.is_empty() {
        return Err(UmdhError::NoStore { path: snapshot.dump.path.clone() });
    }
    progress.start("writing the log", 0);
    write_head(snapshot, out)?;
    let mut ids = StackIds::new(snapshot);
    let mut written = Written::default();
    for header in &snapshot.trace_stores {
        write_store(snapshot, header, &mut ids, &mut written, progress, out)?;
    }
    Ok(written)
}

fn write_head(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let unknown = || "unknown".to_owned();
    // `2011-05-14 20:13` of `2011-05-14 20:13:05`.
    let log_time = snapshot.time().and_then(|time| time.table_text().get(..16).map(str::to_owned));
    let log_time = log_time.unwrap_or_else(unknown);
    let machine = computer_name(snapshot).map_or_else(unknown, printable);
    let pid = snapshot.identity.pid.map_or_else(unknown, |pid| pid.to_string());
    writeln!(out, "// ")?;
    writeln!(out, "// UMDH: version {VERSION}: Logtime {log_time} - Machine={machine} - PID={pid}")?;
    writeln!(out, "// ")?;
    writeln!(out)?;
    writeln!(out, "// Written by dumptrend {}, whose version stands above.", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "// From the dump {}", printable_path(&snapshot.dump.path))?;
    out.write_all(ABOUT.as_bytes())?;
    for header in &snapshot.trace_stores {
        let (kind, bits) = (store_word(header.kind), header.width.bits());
        writeln!(out, "//     {:X}: {kind}, {bits}-bit", header.base.0)?;
    }
    for problem in snapshot.problems.iter().filter(|problem| problem.kind == ProblemKind::Damage) {
        writeln!(out, "// {}: {} {}", problem.kind.word(), printable(&problem.place), printable(&problem.text))?;
    }
    write_modules(snapshot, out)
}

fn write_modules(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.dump.modules.is_none() {
        writeln!(out, "// The dump has no module list.")?;
    }
    writeln!(out, "// Loaded modules: ")?;
    writeln!(out, "//     Base Size Module")?;
    for module in snapshot.dump.modules.iter().flatten() {
        let path = printable(module.path.as_deref().unwrap_or_else(|| module.file_name()));
        writeln!(out, "//{:>20X} {:>8X} {path}", module.base.0, module.size_bytes)?;
    }
    writeln!(out, "//")?;
    writeln!(out)
}

fn computer_name(snapshot: &Snapshot) -> Option<&str> {
    let mut variables = environment(snapshot).iter().filter_map(|variable| variable.split_once('='));
    let named = variables.find(|(name, value)| name.eq_ignore_ascii_case("COMPUTERNAME") && !value.is_empty());
    named.map(|(_, value)| value)
}

const fn store_word(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Indexed => "stack trace database",
        StoreKind::HeapLog => "heap trace log",
    }
}

fn write_store(
    snapshot: &Snapshot,
    header: &StoreHeader,
    ids: &mut StackIds,
    written: &mut Written,
    progress: &Progress,
    out: &mut dyn Write,
) -> Result<(), UmdhError> {
    let base = header.base.0;
    writeln!(out, "{RULE} Start of data for heap @ {base:X} {RULE_END}\n")?;
    writeln!(out, "REQUESTED bytes + OVERHEAD at ADDRESS by BackTraceID\n     STACK if not already dumped.\n")?;
    writeln!(out, "{RULE} Heap {base:X} Hogs {RULE_END}\n")?;
    let mut entries = trace_entries(snapshot, header);
    for (position, entry) in entries.by_ref().enumerate() {
        if position & 0xffff == 0 {
            progress.check()?;
        }
        if !entry.is_free {
            written.block_count = written.block_count.saturating_add(1);
            write_block(header, &entry, ids, written, out)?;
        }
    }
    writeln!(out, "\n{RULE} End of data for heap @ {base:X} {RULE_END}")?;
    let (damaged_count, missing_count) = (entries.damaged_place_count(), entries.missing_place_count());
    written.damaged_place_count = written.damaged_place_count.saturating_add(damaged_count);
    if damaged_count > 0 {
        writeln!(out, "// damaged: places in {base:X} that hold no entry where one should be: {damaged_count}")?;
    }
    if missing_count > 0 {
        writeln!(out, "// missing: places in {base:X} that are not in the dump: {missing_count}")?;
    }
    writeln!(out)?;
    Ok(())
}

/// Readers drop the line after a stack, so an empty one stands there.
fn write_block(
    header: &StoreHeader,
    entry: &Entry,
    ids: &mut StackIds,
    written: &mut Written,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (bytes, va) = (entry.size_bytes, entry.va.0);
    let StackId { id, is_new } = ids.id_of(header, entry);
    if !is_new {
        return writeln!(out, "{bytes:X} bytes + 0 at {va:X} by BackTrace{id:X}");
    }
    written.stack_count = written.stack_count.saturating_add(1);
    writeln!(out, "\n{bytes:X} bytes + 0 at {va:X} by BackTrace{id:X}")?;
    for frame in &entry.frames {
        writeln!(out, "\t{:X}", frame.0)?;
    }
    writeln!(out)
}

struct StackId {
    id: u64,
    /// This is the first entry with the stack.
    is_new: bool,
}

/// The ids of the stacks so far. Kept are their hashes, not their frames.
struct StackIds {
    /// The only store whose indexes are ids: both halves of a WOW64 process count their entries from 1.
    indexed_base: Option<Va>,
    /// Keyed anew in each run, so that no dump can aim at them. Two different stacks are taken for one with a chance of
    /// n² / 2^129 among n of them: 1 in 10^25 with four million.
    hashers: [RandomState; 2],
    ids: HashMap<[u64; 2], u64>,
    taken: HashSet<u64>,
}

impl StackIds {
    fn new(snapshot: &Snapshot) -> Self {
        let own_width = if snapshot.is_wow64() { PointerWidth::Bits32 } else { snapshot.pointer_width() };
        let indexed = || snapshot.trace_stores.iter().filter(|header| header.kind == StoreKind::Indexed);
        let own = indexed().find(|header| header.width == own_width).or_else(|| indexed().next());
        Self {
            indexed_base: own.map(|header| header.base),
            hashers: [RandomState::new(), RandomState::new()],
            ids: HashMap::new(),
            taken: HashSet::new(),
        }
    }

    fn id_of(&mut self, header: &StoreHeader, entry: &Entry) -> StackId {
        let [first, second] = &self.hashers;
        let key = [first.hash_one(&entry.frames), second.hash_one(&entry.frames)];
        if let Some(id) = self.ids.get(&key) {
            return StackId { id: *id, is_new: false };
        }
        let id = self.new_id(header, entry);
        self.ids.insert(key, id);
        StackId { id, is_new: true }
    }

    /// Never one that another stack has, whatever the dump says: an index may stand in two entries, or equal an address.
    fn new_id(&mut self, header: &StoreHeader, entry: &Entry) -> u64 {
        // Above all indexes and all user addresses, where only entries at one address can meet: one for each store.
        const SPARE: u64 = 1 << 63;
        let index = entry.index.filter(|_| self.indexed_base == Some(header.base)).map(u64::from);
        let spare = entry.va.0 | SPARE;
        let mut ids = index.into_iter().chain([entry.va.0]).chain(spare..=u64::MAX);
        ids.find(|id| self.taken.insert(*id)).unwrap_or(spare)
    }
}
