//! What to do about a finding: exact command lines, registry files and scripts for this image and this Windows, with the undo
//! of each, and the next dump.
//!
//! **Invariant:** a name from a dump stands in a command only when [`image_name`] has let it through.

mod gflags;
pub mod image_name;
mod next_dump;
mod script;

use super::Analysis;
use super::diagnosis::pattern::PatternId;
use super::diagnosis::{Finding, NextDumpKind, Verdict};
use super::snapshot::Snapshot;
use crate::base::addr::PointerWidth;
use crate::base::ids::DumpIdx;
use crate::process::traces::StoreKind;
use image_name::ImageName;

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advice {
    /// In one sentence.
    pub what: String,
    /// Command lines, one after the other; empty where no command can be given.
    pub commands: Vec<String>,
    /// What takes them back; empty for what changes nothing.
    pub undo: Vec<String>,
    pub takes_effect: String,
    /// What one should know before; sizes in effect, other settings, what is not confirmed.
    pub remarks: Vec<String>,
    /// The same as a registry file; not for what the registry does not hold.
    pub registry: Option<RegistryFiles>,
    pub needs_administrator: bool,
}

/// A `.reg` file, and the one that takes it back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryFiles {
    pub apply: String,
    pub undo: String,
}

impl Advice {
    /// The commands as a `.cmd` script; `None` without commands.
    pub fn script(&self) -> Option<String> {
        (!self.commands.is_empty()).then(|| script::cmd(&self.what, &self.takes_effect, &self.commands))
    }

    pub fn undo_script(&self) -> Option<String> {
        let what = format!("take back: {}", self.what);
        (!self.undo.is_empty()).then(|| script::cmd(&what, &self.takes_effect, &self.undo))
    }
}

/// The process that advice is for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// As the dump has it.
    pub image: Option<String>,
    pub pid: Option<u32>,
    /// Of the program's own pointers.
    pub is_32_bit: bool,
    pub is_wow64: bool,
    /// Build of Windows.
    pub os_build: Option<u32>,
    /// All flags that the last dump shows.
    pub nt_global_flag: Option<u32>,
    /// What the indexed database has reserved: EntryIndexArray - CommitBase.
    pub database_bytes: Option<u64>,
    pub has_heap_log: bool,
}

/// Windows 10's first build.
const WINDOWS_10: u32 = 10_240;

impl Target {
    /// The process of a dump, as its last dump shows it.
    pub fn of(snapshot: &Snapshot) -> Self {
        let flags = snapshot.pebs.iter().map(|peb| peb.nt_global_flag);
        let indexed = snapshot.trace_stores.iter().filter(|store| store.kind == StoreKind::Indexed);
        Self {
            image: snapshot.identity.image.clone(),
            pid: snapshot.identity.pid,
            is_32_bit: snapshot.is_wow64() || snapshot.pointer_width() == PointerWidth::Bits32,
            is_wow64: snapshot.is_wow64(),
            os_build: snapshot.dump.system.as_ref().map(|system| system.build),
            nt_global_flag: flags.reduce(|all, flags| all | flags),
            database_bytes: indexed.map(|store| store.reserved.size_bytes()).max().filter(|bytes| *bytes > 0),
            has_heap_log: snapshot.trace_stores.iter().any(|store| store.kind == StoreKind::HeapLog),
        }
    }

    /// The image's name, where it may stand in a command.
    pub fn safe_image(&self) -> Option<ImageName> {
        self.image.as_deref().and_then(ImageName::new)
    }

    fn is_windows_10(&self) -> bool {
        self.os_build.is_some_and(|build| build >= WINDOWS_10)
    }

    /// What gflags and procdump call the process in a sentence.
    fn name(&self) -> String {
        self.safe_image().map_or_else(|| "the program".to_owned(), |image| image.as_str().to_owned())
    }
}

/// What to do about a finding: changes first, then the next dump.
pub fn advice(finding: &Finding, target: &Target) -> Vec<Advice> {
    let mut advice = Vec::new();
    if finding.verdict == Verdict::Found {
        match finding.pattern {
            PatternId::InstrumentationSideEffect => advice.extend(gflags::instrumentation(target)),
            PatternId::InsufficientMemoryStackTraceDatabase => advice.extend(gflags::database(target)),
            PatternId::HeapCorruption => advice.extend(gflags::page_heap(target)),
            _ => {}
        }
    }
    if let Some(next) = &finding.next_dump {
        if next.kind == NextDumpKind::WithStacks {
            advice.extend(gflags::switch_on(target));
        }
        advice.push(next_dump::next_dump(next, target));
    }
    advice
}

/// The process that the last of some dumps shows.
pub fn target_of(analysis: &Analysis, dumps: &[DumpIdx]) -> Target {
    dumps.last().and_then(|dump| analysis.snapshot(*dump)).map(|snapshot| Target::of(snapshot)).unwrap_or_default()
}
