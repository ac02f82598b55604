//! Names for the frames of logs: those of the dumps of the same process where a module is the same, else what the log says.

use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::input::symbols::{SymbolName, SymbolTable};
use crate::input::umdh::frames::LogFrame;

use super::umdh_group::{Log, borrowed_module};

/// A module of the logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedModule {
    pub range: VaRange,
    pub name: String,
    /// A dump of the process has the same one, so its symbols are right for it.
    pub is_of_dump: bool,
}

/// Names for the logs of one process.
#[derive(Clone, Debug, Default)]
pub struct UmdhNames {
    symbols: Arc<SymbolTable>,
    /// In the order of addresses; of modules that lay at one place one after the other, the last.
    modules: Vec<NamedModule>,
    pub width: Option<PointerWidth>,
}

impl UmdhNames {
    /// `logs` in time order; `snapshots` are the dumps of the same process, and `symbols` theirs.
    pub fn new(logs: &[Arc<Log>], snapshots: &[Arc<Snapshot>], symbols: Arc<SymbolTable>) -> Self {
        let mut modules: Vec<NamedModule> = Vec::new();
        for module in logs.iter().rev().flat_map(|log| &log.file.modules) {
            let is_new = |known: &NamedModule| known.range.intersection(module.range).is_none();
            let at = modules.partition_point(|known| known.range.start < module.range.start);
            let neighbours = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|at| modules.get(at));
            if neighbours.into_iter().all(is_new) && !module.range.is_empty() {
                let is_of_dump = borrowed_module(module, snapshots).is_some();
                modules.insert(at, NamedModule { range: module.range, name: module.name().to_owned(), is_of_dump });
            }
        }
        let highest = modules.last().map(|module| module.range.end);
        let width = highest.map(|end| if end.0 > 1 << 32 { PointerWidth::Bits64 } else { PointerWidth::Bits32 });
        Self { symbols, modules, width }
    }

    pub fn modules(&self) -> &[NamedModule] {
        &self.modules
    }

    /// How wide the addresses of the process are shown.
    pub fn pointer_width(&self) -> PointerWidth {
        self.width.unwrap_or(PointerWidth::Bits64)
    }

    /// The name of a frame; `None` for an address in no module.
    pub fn name_of<'a>(&'a self, frame: &'a LogFrame) -> Option<SymbolName<'a>> {
        let by_address = || self.name_of_address(frame.address?);
        match frame.parts() {
            // UMDH knew only the module; the dump may know more.
            Some((module, None, offset)) => by_address().or(Some(SymbolName { module, function: None, offset })),
            Some((module, function, offset)) => Some(SymbolName { module, function, offset }),
            None => by_address(),
        }
    }

    fn name_of_address(&self, va: Va) -> Option<SymbolName<'_>> {
        let after = self.modules.partition_point(|module| module.range.start <= va);
        let of_log = after.checked_sub(1).and_then(|at| self.modules.get(at)).filter(|of| of.range.contains(va));
        match of_log {
            Some(module) if !module.is_of_dump => {
                let offset = va.offset_from(module.range.start)?;
                Some(SymbolName { module: &module.name, function: None, offset })
            }
            // Without a list of modules the process id is what says that the dump is of the same process.
            None if !self.modules.is_empty() => None,
            _ => self.symbols.name_of(va),
        }
    }

    /// A frame as a debugger writes it: with its name, else as an address.
    pub fn frame_text(&self, frame: &LogFrame) -> String {
        let address = || frame.address.map_or_else(String::new, |va| va.windbg(self.pointer_width()));
        let name = self.name_of(frame);
        match (&name, &frame.name) {
            (Some(SymbolName { function: None, offset: 0, module }), Some(_)) if frame.address.is_some() => {
                format!("{module}!{}", address())
            }
            (Some(name), _) => name.to_string(),
            (None, _) => address(),
        }
    }
}
