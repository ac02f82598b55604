//! Names for addresses, and what they bring to stacks: PDBs tell of x86 frames, and image files that are found on the way
//! hold the unwind data that a dump lacks. Stacks are then unwound again, which may lead into modules that nobody had seen
//! before: these are named too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::addr::Va;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::modules::ModuleRecord;
use crate::input::dump::system::Architecture;
use crate::input::image::file::ImageFile;
use crate::input::image::files::has_unwind_data;
use crate::input::symbols::SymbolTable;
use crate::input::symbols::loader::find_image;
use crate::input::symbols::search::SymbolSearch;
use crate::process::stacks::ThreadStacks;

use super::series::thread_stacks::{SeriesThreadStacks, stack_addresses, unwind_series};
use super::series::traces::{symbols_for, symbols_source};
use super::snapshot::Snapshot;
use super::snapshot::pdb_frames::PdbFrames;
use super::snapshot::thread_stacks::{UnwindHelp, thread_stacks};

/// Real stacks are settled after the second; the third is for what a scan finds.
const MOST_ROUNDS: usize = 3;

/// What came of naming.
pub struct Named<S> {
    pub symbols: SymbolTable,
    /// The stacks, where they were unwound again.
    pub stacks: Option<S>,
    /// Images whose files were found and used, over all dumps.
    pub image_count: usize,
}

/// The stacks of one dump by thread id, in the order of its thread list, with names.
pub struct NamedStacks {
    pub stacks: Vec<(u32, ThreadStacks)>,
    pub symbols: SymbolTable,
    pub image_count: usize,
}

/// The stacks of all dumps of one process: how to unwind them, and the addresses in one dump's.
struct Unwinding<'a, S> {
    unwind: &'a dyn Fn(&[UnwindHelp<'_>]) -> Result<S, Cancelled>,
    addresses: &'a dyn Fn(&S, usize) -> Vec<Va>,
}

/// Names what occurs in the stacks of a series; `others` are addresses besides, from traces for instance.
///
/// # Errors
/// Only when cancelled.
pub fn name_series(
    snapshots: &[Arc<Snapshot>],
    unwound: Option<&SeriesThreadStacks>,
    others: Vec<Va>,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<Named<SeriesThreadStacks>, Cancelled> {
    let addresses = |stacks: &SeriesThreadStacks, dump: usize| -> Vec<Va> {
        stacks.of_dumps.get(dump).into_iter().flatten().flatten().flat_map(stack_addresses).collect()
    };
    let unwind = |help: &[UnwindHelp<'_>]| unwind_series(snapshots, help, progress);
    let unwinding = Unwinding { unwind: &unwind, addresses: &addresses };
    settle(snapshots, unwound, &unwinding, others, search, progress)
}

/// Unwinds the threads of one dump and names what occurs in their stacks.
///
/// # Errors
/// Only when cancelled.
pub fn named_stacks(
    snapshot: &Arc<Snapshot>,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<NamedStacks, Cancelled> {
    type Stacks = Vec<(u32, ThreadStacks)>;
    let first = thread_stacks(snapshot, UnwindHelp::default(), progress)?;
    let addresses = |stacks: &Stacks, _| stacks.iter().flat_map(|(_, stacks)| stack_addresses(stacks)).collect();
    let unwind = |help: &[UnwindHelp<'_>]| thread_stacks(snapshot, help.first().copied().unwrap_or_default(), progress);
    let unwinding = Unwinding { unwind: &unwind, addresses: &addresses };
    let snapshots = std::slice::from_ref(snapshot);
    let named = settle(snapshots, Some(&first), &unwinding, Vec::new(), search, progress)?;
    let Named { symbols, stacks, image_count } = named;
    Ok(NamedStacks { stacks: stacks.unwrap_or(first), symbols, image_count })
}

fn settle<S>(
    snapshots: &[Arc<Snapshot>],
    first: Option<&S>,
    unwinding: &Unwinding<'_, S>,
    others: Vec<Va>,
    search: &SymbolSearch,
    progress: &Progress,
) -> Result<Named<S>, Cancelled> {
    let all_addresses =
        |stacks: &S| -> Vec<Va> { (0..snapshots.len()).flat_map(|dump| (unwinding.addresses)(stacks, dump)).collect() };
    let Some(source) = symbols_source(snapshots) else {
        return Ok(Named { symbols: SymbolTable::default(), stacks: None, image_count: 0 });
    };
    let mut wanted: Vec<Va> = first.into_iter().flat_map(all_addresses).chain(others).collect();
    let mut symbols = symbols_for(source, wanted.clone(), search, progress)?;
    let mut images = FoundImages::new(snapshots.len());
    let mut again: Option<S> = None;
    for round in 0..MOST_ROUNDS {
        let Some(stacks) = again.as_ref().or(first) else { break };
        let mut has_news =
            round == 0 && symbols.has_frames() && snapshots.iter().any(|snapshot| has_x86_code(snapshot));
        for (dump, snapshot) in snapshots.iter().enumerate() {
            has_news |= images.look(dump, snapshot, &(unwinding.addresses)(stacks, dump), search, progress)?;
        }
        let new_modules = symbols.modules_of_new(&wanted, &all_addresses(stacks));
        if !new_modules.is_empty() {
            let more = symbols_for(source, new_modules.clone(), search, progress)?;
            has_news |= more.has_frames();
            symbols = symbols.joined_with(more);
            wanted.extend(new_modules);
        }
        if !has_news {
            break;
        }
        let frames = PdbFrames(&symbols);
        let help: Vec<UnwindHelp<'_>> =
            images.of_dumps.iter().map(|images| UnwindHelp { images, frame_data: Some(&frames) }).collect();
        again = Some((unwinding.unwind)(&help)?);
    }
    // What the last round led to is named as well.
    if let Some(stacks) = &again {
        let new_modules = symbols.modules_of_new(&wanted, &all_addresses(stacks));
        if !new_modules.is_empty() {
            symbols = symbols.joined_with(symbols_for(source, new_modules, search, progress)?);
        }
    }
    Ok(Named { symbols, stacks: again, image_count: images.of_dumps.iter().map(Vec::len).sum() })
}

/// Whether threads of a dump run 32-bit code of x86.
fn has_x86_code(snapshot: &Snapshot) -> bool {
    let architecture = snapshot.dump.system.as_ref().map(|system| system.architecture);
    snapshot.is_wow64() || architecture == Some(Architecture::X86)
}

/// Files of images that the dumps lack.
struct FoundImages {
    of_dumps: Vec<Vec<ImageFile>>,
    looked_for: BTreeSet<(usize, Va)>,
    /// The same image is in most dumps of a series.
    paths: BTreeMap<(String, u32, u64), Option<PathBuf>>,
}

impl FoundImages {
    fn new(dump_count: usize) -> Self {
        Self {
            of_dumps: (0..dump_count).map(|_| Vec::new()).collect(),
            looked_for: BTreeSet::new(),
            paths: BTreeMap::new(),
        }
    }

    /// Looks for the images of the modules that hold one of the addresses, where the dump lacks them. Says whether one was
    /// found.
    fn look(
        &mut self,
        dump: usize,
        snapshot: &Snapshot,
        addresses: &[Va],
        search: &SymbolSearch,
        progress: &Progress,
    ) -> Result<bool, Cancelled> {
        let mut has_found = false;
        for module in snapshot.dump.modules.iter().flatten() {
            let Some(ip) = addresses.iter().copied().find(|ip| module.range().contains(*ip)) else { continue };
            let is_new = self.looked_for.insert((dump, module.base));
            if !is_new || has_unwind_data(&snapshot.dump.memory, module.base, ip) {
                continue;
            }
            let path = self.path_of(module, search, progress)?;
            let image = path.and_then(|path| ImageFile::open(&path, module).ok());
            if let Some(of_dump) = self.of_dumps.get_mut(dump) {
                has_found |= image.is_some();
                of_dump.extend(image);
            }
        }
        Ok(has_found)
    }

    fn path_of(
        &mut self,
        module: &ModuleRecord,
        search: &SymbolSearch,
        progress: &Progress,
    ) -> Result<Option<PathBuf>, Cancelled> {
        let key = (module.path.clone().unwrap_or_default(), module.time_date_stamp, module.size_bytes);
        if let Some(known) = self.paths.get(&key) {
            return Ok(known.clone());
        }
        let found = find_image(module, search, progress)?;
        self.paths.insert(key, found.clone());
        Ok(found)
    }
}
