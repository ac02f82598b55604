//! The export table of an image: names of functions by their place.
//!
//! **Invariant:** what is read is bounded by the table's own arrays in the dump and by limits of ours, whatever the counts
//! in the directory say.

use crate::base::addr::{Rva, Va};
use crate::base::memory::{self, ReadMemory};
use crate::base::printable::printable;

use super::ImageHeaders;

/// ntdll exports some 2,500 names, the largest libraries some ten thousand.
const MAX_EXPORTS: u32 = 200_000;
/// Decorated C++ names run to a few hundred characters; the linker allows 4096.
const MAX_NAME_BYTES: u64 = 4096;
/// Names of one image together.
const NAME_BUDGET_BYTES: u64 = 16 << 20;

/// One exported name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    pub rva: Rva,
    pub name: String,
}

/// Reads the names that an image exports, in the order of their places; of several names for one place the first in the
/// table, which is the first in the alphabet. Forwarders name a function of another image and are left out. `None` when
/// the image has no export table in the dump.
pub fn read_exports(memory: &dyn ReadMemory, image: &ImageHeaders) -> Option<Vec<Export>> {
    if image.export_directory.size_bytes == 0 {
        return None;
    }
    let at = |rva: u32| image.base.checked_add(u64::from(rva));
    let directory = at(image.export_directory.rva.0)?;
    let field = |offset: u64| memory::u32_at(memory, directory.checked_add(offset)?);
    let function_count = field(0x14)?.min(MAX_EXPORTS);
    let name_count = field(0x18)?.min(MAX_EXPORTS);
    let (functions, names, ordinals) = (at(field(0x1c)?)?, at(field(0x20)?)?, at(field(0x24)?)?);
    let mut exports = Vec::new();
    let mut budget_bytes = NAME_BUDGET_BYTES;
    for index in 0..u64::from(name_count) {
        let entry = || {
            let name_rva = memory::u32_at(memory, element(names, index, 4)?)?;
            let ordinal = u32::from(memory::u16_at(memory, element(ordinals, index, 2)?)?);
            if ordinal >= function_count {
                return None;
            }
            let rva = Rva(memory::u32_at(memory, element(functions, u64::from(ordinal), 4)?)?);
            Some((rva, name_rva))
        };
        let Some((rva, name_rva)) = entry() else { continue };
        if image.export_directory.contains(rva) {
            continue;
        }
        let Some(name) = at(name_rva).and_then(|va| name_at(memory, va)) else { continue };
        let Some(left) = budget_bytes.checked_sub(name.len() as u64) else { break };
        budget_bytes = left;
        exports.push(Export { rva, name });
    }
    exports.sort_by_key(|export| export.rva);
    exports.dedup_by_key(|export| export.rva);
    Some(exports)
}

fn element(array: Va, index: u64, size_bytes: u64) -> Option<Va> {
    array.checked_add(index.checked_mul(size_bytes)?)
}

fn name_at(memory: &dyn ReadMemory, va: Va) -> Option<String> {
    let bytes = memory.bytes_at(va, MAX_NAME_BYTES);
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let name = String::from_utf8_lossy(bytes.get(..end)?);
    (!name.is_empty()).then(|| printable(&name))
}
