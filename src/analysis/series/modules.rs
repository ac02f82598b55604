//! Modules over the dumps of one process: loaded, unloaded, moved, replaced by another build, and what was unloaded in
//! between.
//!
//! A build of an image is known by its file name, size and time stamp, as a symbol store names image files, and by its PDB
//! where both dumps tell it. A module of the same build at another base has moved; another build from the same path, or under
//! the same name at the same base, has replaced it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::Va;
use crate::base::ids::ModuleIdx;
use crate::base::printable::file_name;
use crate::input::dump::modules::{ModuleRecord, UnloadedModuleRecord};
use crate::process::regions::State;
use crate::process::regions::usage::Owner;

/// Modules that are told apart; a damaged series could have a new one in each entry of each list.
const MOST_HISTORIES: usize = 100_000;

/// Windows keeps the first 32 characters of the name of an unloaded module (RTL_UNLOAD_EVENT_TRACE.ImageName), the last of
/// which may be a zero.
const UNLOADED_NAME_CHARS: usize = 31;

/// One module over the series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleHistory {
    /// File name with extension.
    pub name: String,
    /// The dumps that have it, in time order. Empty where it was seen among the unloaded modules alone.
    pub seen: Vec<Seen>,
    /// The dumps in whose list of unloaded modules it stands.
    pub unloads: Vec<Unloads>,
}

/// A module in the module list of one dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Position of the dump in the series.
    pub dump: usize,
    pub module: ModuleIdx,
    pub base: Va,
    /// The same number is the same build.
    build: usize,
}

/// A module among the unloaded ones of one dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unloads {
    pub dump: usize,
    /// How often it stands there: once for each time that it was unloaded, as far back as Windows remembers.
    pub count: u64,
    /// Its last entry in the list.
    pub last: usize,
}

/// What became of a module between two dumps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ModuleChange {
    Same,
    Loaded,
    Unloaded,
    /// The same build at another base.
    Moved,
    /// Another build.
    Replaced,
    /// The same at both ends, and unloaded in between.
    Reloaded,
    /// In neither of the two, and loaded in between.
    CameAndWent,
}

/// All modules of a series.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SeriesModules {
    /// In the order of their latest bases; those that are seen as unloaded alone last.
    pub histories: Vec<ModuleHistory>,
    /// Whether each dump has a module list.
    pub has_list: Vec<bool>,
    /// How many entries the list of unloaded modules has; `None` for a dump without one.
    pub unloaded_counts: Vec<Option<u64>>,
    /// Modules beyond those that are told apart, counted once in each dump.
    pub left_out_count: u64,
}

impl Seen {
    /// Whether it is the same build at the same base as in another dump.
    pub fn is_same_image(&self, other: &Self) -> bool {
        (self.base, self.build) == (other.base, other.build)
    }
}

impl ModuleHistory {
    pub fn at(&self, dump: usize) -> Option<&Seen> {
        self.seen.iter().find(|seen| seen.dump == dump)
    }

    /// The last dump up to `dump` that has it, else the first one after.
    pub fn latest(&self, dump: usize) -> Option<&Seen> {
        self.seen.iter().rev().find(|seen| seen.dump <= dump).or_else(|| self.seen.first())
    }

    /// How often it was unloaded, as the dump remembers.
    pub fn unload_count(&self, dump: usize) -> Option<u64> {
        self.unloads.iter().find(|unloads| unloads.dump == dump).map(|unloads| unloads.count)
    }
}

impl SeriesModules {
    /// `None` where one of the two dumps has no module list, and for a module that is in neither nor between.
    pub fn change(&self, history: &ModuleHistory, from: usize, to: usize) -> Option<ModuleChange> {
        let is_known = |dump: usize| self.has_list.get(dump).copied().unwrap_or(false);
        (is_known(from) && is_known(to)).then_some(())?;
        let was_unloaded = self.was_unloaded_between(history, from, to);
        let is_between = |seen: &Seen| seen.dump > from && seen.dump < to;
        Some(match (history.at(from), history.at(to)) {
            (Some(from), Some(to)) if from.build != to.build => ModuleChange::Replaced,
            (Some(from), Some(to)) if from.base != to.base => ModuleChange::Moved,
            (Some(_), Some(_)) if was_unloaded => ModuleChange::Reloaded,
            (Some(_), Some(_)) => ModuleChange::Same,
            (None, Some(_)) => ModuleChange::Loaded,
            (Some(_), None) => ModuleChange::Unloaded,
            (None, None) if was_unloaded || history.seen.iter().any(is_between) => ModuleChange::CameAndWent,
            (None, None) => return None,
        })
    }

    /// Windows forgets old entries and makes none twice: more of them are proof.
    fn was_unloaded_between(&self, history: &ModuleHistory, from: usize, to: usize) -> bool {
        let has_list = |dump: usize| self.unloaded_counts.get(dump).copied().flatten().is_some();
        let count = |dump: usize| history.unload_count(dump).unwrap_or(0);
        has_list(from) && has_list(to) && from < to && count(to) > count(from)
    }
}

/// Committed memory of each image of a dump, by the module's position; `None` for a dump without a whole map.
pub fn image_bytes(snapshot: &Snapshot) -> Option<HashMap<ModuleIdx, u64>> {
    snapshot.address_space.totals.committed_bytes()?;
    let mut bytes: HashMap<ModuleIdx, u64> = HashMap::new();
    for region in snapshot.address_space.regions.iter().filter(|region| region.state == State::Commit) {
        if let Owner::Module(module) = region.owner {
            let of_module = bytes.entry(module).or_default();
            *of_module = of_module.saturating_add(region.range.size_bytes());
        }
    }
    Some(bytes)
}

/// Follows the modules of the dumps of one process.
pub fn module_histories(snapshots: &[Arc<Snapshot>]) -> SeriesModules {
    let lists: Vec<Option<&[ModuleRecord]>> =
        snapshots.iter().map(|snapshot| snapshot.dump.modules.as_deref()).collect();
    let mut following = Following { lists: &lists, histories: Vec::new(), left_out_count: 0 };
    for (dump, list) in lists.iter().enumerate() {
        if let Some(modules) = list {
            following.add_dump(dump, modules);
        }
    }
    let unloaded: Vec<Option<&[UnloadedModuleRecord]>> =
        snapshots.iter().map(|snapshot| snapshot.dump.unloaded_modules.as_deref()).collect();
    following.add_unloaded(&unloaded);
    let mut histories = following.histories;
    histories.sort_by_key(|history| history.seen.last().map_or((1, Va(0)), |seen| (0, seen.base)));
    SeriesModules {
        histories,
        has_list: lists.iter().map(Option::is_some).collect(),
        unloaded_counts: unloaded.iter().map(|list| list.map(|list| list.len() as u64)).collect(),
        left_out_count: following.left_out_count,
    }
}

/// What tells one build of an image from another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Build {
    /// `None` for a module whose name cannot be read: it is only ever found again at its base.
    name: Option<String>,
    size_bytes: u64,
    time_date_stamp: u32,
}

impl Build {
    fn of(module: &ModuleRecord) -> Self {
        Self {
            name: module.path.as_deref().map(|path| file_name(path).to_lowercase()),
            size_bytes: module.size_bytes,
            time_date_stamp: module.time_date_stamp,
        }
    }

    /// As the list of unloaded modules can tell it.
    fn shortened(name: &str, size_bytes: u64, time_date_stamp: u32) -> Self {
        let name = file_name(name).to_lowercase().chars().take(UNLOADED_NAME_CHARS).collect();
        Self { name: Some(name), size_bytes, time_date_stamp }
    }
}

/// Whether two records are of one build. The PDB decides where both tell it: an image without its headers in the dump may not.
fn is_same_build(a: &ModuleRecord, b: &ModuleRecord) -> bool {
    let pdbs = a.pdb.as_ref().zip(b.pdb.as_ref());
    Build::of(a) == Build::of(b) && pdbs.is_none_or(|(a, b)| a.store_id == b.store_id)
}

struct Following<'a> {
    lists: &'a [Option<&'a [ModuleRecord]>],
    histories: Vec<ModuleHistory>,
    left_out_count: u64,
}

/// Histories by what a module is looked up by. Each is given out once.
struct Lookup<K> {
    by_key: HashMap<K, Vec<usize>>,
}

impl<K: std::hash::Hash + Eq> Lookup<K> {
    /// Of several with one key the last one given comes first.
    fn new(entries: impl Iterator<Item = (K, usize)>) -> Self {
        let mut by_key: HashMap<K, Vec<usize>> = HashMap::new();
        for (key, history) in entries {
            by_key.entry(key).or_default().push(history);
        }
        Self { by_key }
    }

    /// A history with this key that nobody has taken and that `fits`: only the next one is asked, so that a damaged list of
    /// equal names costs no more than another.
    fn take(&mut self, key: &K, is_taken: &mut [bool], fits: impl Fn(usize) -> bool) -> Option<usize> {
        let entries = self.by_key.get_mut(key)?;
        while entries.last().is_some_and(|history| is_taken.get(*history).copied().unwrap_or(true)) {
            entries.pop();
        }
        let history = entries.last().copied().filter(|history| fits(*history))?;
        entries.pop();
        *is_taken.get_mut(history)? = true;
        Some(history)
    }
}

impl Following<'_> {
    fn record(&self, seen: &Seen) -> Option<&ModuleRecord> {
        self.lists.get(seen.dump).copied().flatten()?.get(seen.module.0)
    }

    fn last_record(&self, history: usize) -> Option<&ModuleRecord> {
        self.record(self.histories.get(history)?.seen.last()?)
    }

    /// Finds each module of a dump among those known: first where it was, then the same build elsewhere, then another build
    /// in its place. Those that the dump before had are asked first.
    fn add_dump(&mut self, dump: usize, modules: &[ModuleRecord]) {
        let mut known: Vec<usize> = (0..self.histories.len()).collect();
        known.sort_by_key(|history| self.histories.get(*history).and_then(|known| known.seen.last()).map(|s| s.dump));
        let entries = || known.iter().filter_map(|history| Some((self.last_record(*history)?, *history)));
        let mut in_place = Lookup::new(entries().map(|(record, history)| ((Build::of(record), record.base), history)));
        let mut elsewhere = Lookup::new(entries().map(|(record, history)| (Build::of(record), history)));
        let lower_path = |record: &ModuleRecord| record.path.as_deref().map(str::to_lowercase);
        let mut by_path = Lookup::new(entries().filter_map(|(record, history)| Some((lower_path(record)?, history))));
        let mut by_base = Lookup::new(
            entries().filter_map(|(record, history)| Some(((Build::of(record).name?, record.base), history))),
        );
        let mut is_taken = vec![false; self.histories.len()];
        let mut found: Vec<Option<usize>> = vec![None; modules.len()];
        let is_of = |history: usize, module: &ModuleRecord| {
            self.last_record(history).is_some_and(|record| is_same_build(record, module))
        };
        for (module, found) in modules.iter().zip(&mut found) {
            let key = (Build::of(module), module.base);
            *found = in_place.take(&key, &mut is_taken, |history| is_of(history, module));
        }
        for (module, found) in
            modules.iter().zip(&mut found).filter(|(module, found)| found.is_none() && module.path.is_some())
        {
            *found = elsewhere.take(&Build::of(module), &mut is_taken, |history| is_of(history, module));
        }
        for (module, found) in modules.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            let Some((path, name)) = lower_path(module).zip(Build::of(module).name) else { continue };
            *found = by_path
                .take(&path, &mut is_taken, |_| true)
                .or_else(|| by_base.take(&(name, module.base), &mut is_taken, |_| true));
        }
        for ((position, module), found) in modules.iter().enumerate().zip(found) {
            self.add(dump, ModuleIdx(position), module, found);
        }
    }

    fn add(&mut self, dump: usize, position: ModuleIdx, module: &ModuleRecord, found: Option<usize>) {
        let build = found.and_then(|history| {
            let seen = &self.histories.get(history)?.seen;
            let same = seen.iter().find(|seen| self.record(seen).is_some_and(|record| is_same_build(record, module)));
            same.map(|seen| seen.build)
        });
        let seen = Seen { dump, module: position, base: module.base, build: build.unwrap_or(dump) };
        let history_count = self.histories.len();
        let known = match found {
            Some(history) => self.histories.get_mut(history),
            None => None,
        };
        match known {
            Some(history) => history.seen.push(seen),
            None if history_count < MOST_HISTORIES => self.histories.push(ModuleHistory {
                name: module.file_name().to_owned(),
                seen: vec![seen],
                unloads: Vec::new(),
            }),
            None => self.left_out_count = self.left_out_count.saturating_add(1),
        }
    }

    /// Counts the entries for unloaded modules of each dump, with the module that they were.
    fn add_unloaded(&mut self, lists: &[Option<&[UnloadedModuleRecord]>]) {
        let mut by_build: HashMap<Build, usize> = HashMap::new();
        for (index, history) in self.histories.iter().enumerate() {
            for record in history.seen.iter().filter_map(|seen| self.record(seen)) {
                let key = Build::shortened(record.file_name(), record.size_bytes, record.time_date_stamp);
                by_build.entry(key).or_insert(index);
            }
        }
        for (dump, list) in lists.iter().enumerate() {
            for (last, record) in list.iter().copied().flatten().enumerate() {
                let name = record.path.as_deref().map_or("<name not readable>", file_name);
                let key = Build::shortened(name, record.size_bytes, record.time_date_stamp);
                let known = by_build.get(&key).copied();
                if known.is_none() && self.histories.len() >= MOST_HISTORIES {
                    self.left_out_count = self.left_out_count.saturating_add(1);
                    continue;
                }
                let index = known.unwrap_or_else(|| {
                    let history = ModuleHistory { name: name.to_owned(), seen: Vec::new(), unloads: Vec::new() };
                    self.histories.push(history);
                    by_build.insert(key, self.histories.len() - 1);
                    self.histories.len() - 1
                });
                let Some(history) = self.histories.get_mut(index) else { continue };
                match history.unloads.last_mut().filter(|unloads| unloads.dump == dump) {
                    Some(unloads) => (unloads.count, unloads.last) = (unloads.count.saturating_add(1), last),
                    None => history.unloads.push(Unloads { dump, count: 1, last }),
                }
            }
        }
    }
}
