//! Names for addresses: `module!function+0xoffset`, as a debugger writes them.
//!
//! The names come from the export tables of the images in the dump. An address between two exports gets the one before it,
//! as in WinDbg without a PDB: the offset tells how far that may be from the truth.
//!
//! **Invariant:** a [`SymbolTable`] does not change after it was built.

use std::fmt;

use crate::base::addr::{Rva, Va, VaRange};
use crate::base::memory::ReadMemory;
use crate::input::dump::modules::ModuleRecord;
use crate::input::image::exports::{Export, read_exports};
use crate::input::image::read_headers;

/// One module and its names, in the order of their places.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleSymbols {
    pub range: VaRange,
    /// As WinDbg names modules: the file name without its extension.
    pub name: String,
    functions: Vec<Export>,
}

/// Names for all addresses of one dump.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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
        let mut table: Vec<ModuleSymbols> = modules
            .iter()
            .map(|module| {
                let exports = read_headers(memory, module.base).and_then(|image| read_exports(memory, &image));
                let name = module_name(module.file_name());
                ModuleSymbols { range: module.range(), name, functions: exports.unwrap_or_default() }
            })
            .collect();
        table.sort_by_key(|module| module.range.start);
        Self { modules: table }
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
        let offset = va.offset_from(module.range.start)?;
        let rva = Rva(u32::try_from(offset).ok()?);
        let after = module.functions.partition_point(|function| function.rva <= rva);
        let function = after.checked_sub(1).and_then(|index| module.functions.get(index));
        Some(match function {
            Some(function) => SymbolName {
                module: &module.name,
                function: Some(&function.name),
                offset: u64::from(rva.0.saturating_sub(function.rva.0)),
            },
            None => SymbolName { module: &module.name, function: None, offset },
        })
    }
}

/// WinDbg's module name: without the extension, and with an underscore for what its expressions could not take.
fn module_name(file_name: &str) -> String {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    stem.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_windbg_names_them() {
        assert_eq!(module_name("ntdll.dll"), "ntdll");
        assert_eq!(module_name("api-ms-win-core.v1.dll"), "api_ms_win_core_v1");
        assert_eq!(module_name("plain"), "plain");
    }

    #[test]
    fn names_read_as_a_debugger_writes_them() {
        let name = |function, offset| SymbolName { module: "ntdll", function, offset }.to_string();
        assert_eq!(name(Some("RtlAllocateHeap"), 0x16c), "ntdll!RtlAllocateHeap+0x16c");
        assert_eq!(name(Some("RtlAllocateHeap"), 0), "ntdll!RtlAllocateHeap");
        assert_eq!(name(None, 0x1000), "ntdll+0x1000");
    }
}
