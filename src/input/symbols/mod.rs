//! Names for addresses: `module!function+0xoffset`, as a debugger writes them.
//!
//! The names of a module come from its PDB where one is found (`loader`), else from the export table of its image, in the
//! dump or in a file. An address between two names gets the one before it, as in WinDbg: the offset tells how far that may
//! be from the truth.
//!
//! **Invariant:** a [`SymbolTable`] does not change after it was built; loading again makes a new one.

pub mod cache;
mod compressed;
mod deep_stack;
mod demangle;
mod download;
pub mod environment;
mod frame_table;
pub mod loader;
mod names;
pub mod pdb;
pub mod pdb_id;
mod pdb_source;
mod safe_name;
pub mod search;
pub mod server;
pub mod struct_layout;
pub mod symbol_path;
mod tried;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::addr::{Rva, Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::input::dump::modules::ModuleRecord;

pub use frame_table::{FrameRecord, FrameTable, FrameWay};
pub use names::{ModuleNames, NameKind};

/// Where the names of a module come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum SymbolQuality {
    /// No name is known but the module's.
    None,
    /// Exported functions only: others appear under the export before them.
    Exports,
    Pdb,
}

impl SymbolQuality {
    /// The word for it in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Exports => "exports",
            Self::Pdb => "pdb",
        }
    }
}

/// One place that was tried for a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// What was looked for.
    pub file: String,
    /// Where.
    pub place: String,
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    Used,
    NotThere,
    /// A file is there and was not used: which, and why.
    Refused(String),
    NotAsked(String),
    /// A server gave no answer: why.
    NoAnswer(String),
    /// It was used, but not all went well.
    Remark(String),
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, outcome } = self;
        match outcome {
            Outcome::Used => write!(f, "{file}: used: {place}"),
            Outcome::NotThere => write!(f, "{file}: not in {place}"),
            Outcome::Refused(reason) => write!(f, "{file}: refused: {reason}"),
            Outcome::NotAsked(reason) => write!(f, "{file}: {place}: not asked: {reason}"),
            Outcome::NoAnswer(reason) => write!(f, "{file}: {place}: gave no answer: {reason}"),
            Outcome::Remark(text) => write!(f, "{file}: {place}: {text}"),
        }
    }
}

/// One module and its names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModuleSymbols {
    pub range: VaRange,
    /// As WinDbg names modules: the file name without its extension.
    pub name: String,
    pub quality: SymbolQuality,
    /// What was tried for it, in order.
    pub attempts: Vec<Attempt>,
    /// What came of it, in one sentence.
    pub note: String,
    names: Arc<ModuleNames>,
    #[serde(skip)]
    frames: Arc<FrameTable>,
}

impl ModuleSymbols {
    /// What the PDB tells of frames; empty without one, and for other processors than x86.
    pub fn frames(&self) -> &FrameTable {
        &self.frames
    }

    /// The names, by place.
    pub fn names(&self) -> &ModuleNames {
        &self.names
    }

    /// The address of a function or variable, by the name that is shown for it.
    pub fn address_of(&self, name: &str) -> Option<Va> {
        self.range.start.checked_add(u64::from(self.names.place_of(name)?.0))
    }

    fn rva_of(&self, va: Va) -> Option<Rva> {
        u32::try_from(va.offset_from(self.range.start)?).ok().map(Rva)
    }
}

/// Names for all addresses of one dump.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SymbolTable {
    /// In the order of addresses.
    modules: Vec<ModuleSymbols>,
}

/// The name of one address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SymbolName<'a> {
    pub module: &'a str,
    pub function: Option<&'a str>,
    /// From the function, else from the module's base.
    pub offset: u64,
}

/// Where in the source a piece of code comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SourceLine<'a> {
    /// As the compiler saw the path.
    pub file: &'a str,
    pub line: u32,
}

impl fmt::Display for SymbolName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.module)?;
        if let Some(function) = self.function {
            write!(f, "!{function}")?;
        }
        if self.offset > 0 || self.function.is_none() {
            write!(f, "+{:#x}", self.offset)?;
        }
        Ok(())
    }
}

impl SymbolTable {
    /// Reads the export tables of all modules; one whose image is not in the dump, or exports nothing, is named alone.
    pub fn from_exports(modules: &[ModuleRecord], memory: &dyn ReadMemory) -> Self {
        Self::new(modules.iter().map(|module| loader::without_pdb(module, memory)).collect())
    }

    fn new(mut modules: Vec<ModuleSymbols>) -> Self {
        modules.sort_by_key(|module| module.range.start);
        Self { modules }
    }

    /// All modules, in the order of their addresses.
    pub fn modules(&self) -> &[ModuleSymbols] {
        &self.modules
    }

    /// The module that holds an address.
    pub fn module_at(&self, va: Va) -> Option<&ModuleSymbols> {
        let after = self.modules.partition_point(|module| module.range.start <= va);
        self.modules.get(after.checked_sub(1)?).filter(|module| module.range.contains(va))
    }

    /// Where the function that names an address begins; `None` where no function does.
    pub fn function_start(&self, va: Va) -> Option<Va> {
        let name = self.name_of(va)?;
        name.function?;
        va.0.checked_sub(name.offset).map(Va)
    }

    /// The name of an address in a module; `None` elsewhere.
    pub fn name_of(&self, va: Va) -> Option<SymbolName<'_>> {
        let module = self.module_at(va)?;
        let rva = module.rva_of(va)?;
        Some(match module.names.name_at(rva) {
            Some((function, start)) => SymbolName {
                module: &module.name,
                function: Some(function),
                offset: u64::from(rva.0.saturating_sub(start.0)),
            },
            None => SymbolName { module: &module.name, function: None, offset: u64::from(rva.0) },
        })
    }

    /// Of `addresses` those in modules that none of `known` lies in: nobody has looked for their symbols. One for each module.
    pub fn modules_of_new(&self, known: &[Va], addresses: &[Va]) -> Vec<Va> {
        let index_of = |va: &Va| {
            let after = self.modules.partition_point(|module| module.range.start <= *va);
            let index = after.checked_sub(1)?;
            self.modules.get(index)?.range.contains(*va).then_some(index)
        };
        let mut seen: HashSet<usize> = known.iter().filter_map(index_of).collect();
        addresses.iter().copied().filter(|va| index_of(va).is_some_and(|index| seen.insert(index))).collect()
    }

    /// The same modules with the names and lines of these addresses alone; of their neighbours it knows that they have other
    /// names. What was tried, and where, is left out.
    #[must_use]
    pub fn only_for(&self, addresses: &[Va]) -> Self {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let modules = self.modules.iter().map(|module| {
            let first = sorted.partition_point(|va| *va < module.range.start);
            let inside = sorted.get(first..).unwrap_or_default().iter().take_while(|va| module.range.contains(**va));
            let places: Vec<Rva> = inside.filter_map(|va| module.rva_of(*va)).collect();
            let note = match module.quality {
                SymbolQuality::Pdb => "names from its PDB, of what occurs in stacks; kept in the case capsule",
                SymbolQuality::Exports => "names of exports, of what occurs in stacks; kept in the case capsule",
                SymbolQuality::None => "no names were known when the case capsule was made",
            };
            ModuleSymbols {
                attempts: Vec::new(),
                note: note.to_owned(),
                names: Arc::new(module.names.only_at(&places)),
                frames: Arc::default(),
                ..module.clone()
            }
        });
        Self { modules: modules.collect() }
    }

    /// Both tables of one dump: of each module what tells more.
    #[must_use]
    pub fn joined_with(self, other: Self) -> Self {
        let mut others = other.modules.into_iter().peekable();
        let amount = |module: &ModuleSymbols| (module.quality, module.attempts.len());
        let join = |own: ModuleSymbols| {
            while others.next_if(|other| other.range.start < own.range.start).is_some() {}
            match others.next_if(|other| other.range == own.range) {
                Some(other) if amount(&other) > amount(&own) => other,
                _ => own,
            }
        };
        Self { modules: self.modules.into_iter().map(join).collect() }
    }

    /// What a PDB tells of the frame of the x86 function at an address, with the table that has its program, and where the
    /// code begins that it is said of.
    pub fn frame_at(&self, va: Va) -> Option<(&FrameTable, &FrameRecord, Va)> {
        let module = self.module_at(va)?;
        let record = module.frames.record_at(module.rva_of(va)?)?;
        Some((&module.frames, record, module.range.start.checked_add(u64::from(record.rva.0))?))
    }

    /// Whether any module has frame data.
    pub fn has_frames(&self) -> bool {
        self.modules.iter().any(|module| !module.frames.is_empty())
    }

    /// The source line of an address. A return address belongs to the line after its call, or to none: callers look up the
    /// byte before it.
    pub fn line_of(&self, va: Va) -> Option<SourceLine<'_>> {
        let module = self.module_at(va)?;
        module.names.line_at(module.rva_of(va)?)
    }

    /// The address of a function or variable, in the first module of that name, whatever its case. A WOW64 process has two
    /// ntdlls: ask each of [`Self::modules`] there.
    pub fn address_of(&self, module: &str, name: &str) -> Option<Va> {
        self.modules.iter().filter(|of| of.name.eq_ignore_ascii_case(module)).find_map(|of| of.address_of(name))
    }
}

/// WinDbg's name for a module: without the extension, and with an underscore for what its expressions could not take.
pub fn windbg_module_name(file_name: &str) -> String {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    stem.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_windbg_names_them() {
        assert_eq!(windbg_module_name("ntdll.dll"), "ntdll");
        assert_eq!(windbg_module_name("api-ms-win-core.v1.dll"), "api_ms_win_core_v1");
        assert_eq!(windbg_module_name("plain"), "plain");
    }

    #[test]
    fn names_read_as_a_debugger_writes_them() {
        let name = |function, offset| SymbolName { module: "ntdll", function, offset }.to_string();
        assert_eq!(name(Some("RtlAllocateHeap"), 0x16c), "ntdll!RtlAllocateHeap+0x16c");
        assert_eq!(name(Some("RtlAllocateHeap"), 0), "ntdll!RtlAllocateHeap");
        assert_eq!(name(None, 0x1000), "ntdll+0x1000");
    }
}
