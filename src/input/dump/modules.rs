//! Modules and unloaded modules. Layouts: minidumpapiset.h, MINIDUMP_MODULE (108 bytes), MINIDUMP_UNLOADED_MODULE (24).

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};
use crate::base::bytes;
use crate::base::printable::file_name;
use crate::base::problems::Problems;

use super::lists::{ListShape, Texts, counted_list, sized_list};
use super::stream_kind::StreamKind;

/// A process has a few hundred modules; more than this is no process.
const MAX_MODULES: u64 = 100_000;
const MAX_PDB_NAME_BYTES: u64 = 1024;

/// One loaded image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModuleRecord {
    pub base: Va,
    pub size_bytes: u64,
    pub checksum: u32,
    pub time_date_stamp: u32,
    /// Full path as the dump has it; `None` when the name cannot be read.
    pub path: Option<String>,
    /// Major, minor, build and revision of the file version.
    pub file_version: Option<[u16; 4]>,
    pub pdb: Option<PdbReference>,
}

/// Which PDB belongs to an image: its CodeView record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PdbReference {
    pub path: String,
    /// The folder name in a symbol store: GUID and age, or signature and age, in hexadecimal without dashes.
    pub store_id: String,
}

/// An image that was loaded once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnloadedModuleRecord {
    pub base: Va,
    pub size_bytes: u64,
    pub checksum: u32,
    pub time_date_stamp: u32,
    pub path: Option<String>,
}

impl ModuleRecord {
    /// The file name with its extension, as module lists show it.
    pub fn file_name(&self) -> &str {
        self.path.as_deref().map_or("<name not readable>", file_name)
    }

    pub fn range(&self) -> VaRange {
        VaRange::from_size(self.base, self.size_bytes)
    }
}

/// Reads the module list. A module of size 0 or with an unreadable name is kept and noted.
pub fn read_modules(stream: &[u8], texts: &Texts<'_>, problems: &mut Problems) -> Vec<ModuleRecord> {
    let kind = StreamKind::MODULE_LIST;
    let list = counted_list(stream, ListShape { kind, entry_bytes: 108, max_entries: MAX_MODULES }, problems);
    let modules: Vec<ModuleRecord> = list.iter().filter_map(|entry| read_module(entry, texts)).collect();
    let sizeless: Vec<&ModuleRecord> = modules.iter().filter(|module| module.size_bytes == 0).collect();
    if let [first, rest @ ..] = &sizeless[..] {
        let text = format!("gives the size 0 to {} at {}{}", first.file_name(), first.base, and_more(rest.len()));
        problems.damage(kind.to_string(), text);
    }
    let nameless: Vec<&ModuleRecord> = modules.iter().filter(|module| module.path.is_none()).collect();
    if let [first, rest @ ..] = &nameless[..] {
        let text = format!("has no readable name for the module at {}{}", first.base, and_more(rest.len()));
        problems.damage(kind.to_string(), text);
    }
    modules
}

/// One line for a fault that many modules share.
fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

fn read_module(entry: &[u8], texts: &Texts<'_>) -> Option<ModuleRecord> {
    const VERSION_SIGNATURE: u32 = 0xfeef_04bd; // VS_FIXEDFILEINFO.dwSignature
    let file_version = if bytes::u32_at(entry, 0x18)? == VERSION_SIGNATURE {
        Some([
            bytes::u16_at(entry, 0x22)?,
            bytes::u16_at(entry, 0x20)?,
            bytes::u16_at(entry, 0x26)?,
            bytes::u16_at(entry, 0x24)?,
        ])
    } else {
        None
    };
    let code_view = bytes::available_at(
        texts.file(),
        u64::from(bytes::u32_at(entry, 0x50)?),
        u64::from(bytes::u32_at(entry, 0x4c)?),
    );
    Some(ModuleRecord {
        base: Va(bytes::u64_at(entry, 0)?),
        size_bytes: u64::from(bytes::u32_at(entry, 8)?),
        checksum: bytes::u32_at(entry, 0xc)?,
        time_date_stamp: bytes::u32_at(entry, 0x10)?,
        path: texts.string_at(u64::from(bytes::u32_at(entry, 0x14)?)),
        file_version,
        pdb: read_pdb_reference(code_view, texts),
    })
}

/// Which PDB a CodeView record names.
pub fn pdb_reference_of(code_view: &[u8]) -> Option<PdbReference> {
    read_pdb_reference(code_view, &Texts::new(&[]))
}

/// Reads a CodeView record: `RSDS` with a GUID (all current linkers) or `NB10` with a time stamp (before 2002).
fn read_pdb_reference(code_view: &[u8], texts: &Texts<'_>) -> Option<PdbReference> {
    match bytes::slice_at(code_view, 0, 4)? {
        b"RSDS" => {
            let (data1, data2, data3) =
                (bytes::u32_at(code_view, 4)?, bytes::u16_at(code_view, 8)?, bytes::u16_at(code_view, 10)?);
            let data4: String = bytes::slice_at(code_view, 12, 8)?.iter().map(|byte| format!("{byte:02X}")).collect();
            let age = bytes::u32_at(code_view, 20)?;
            Some(PdbReference {
                path: texts.narrow_text(code_view.get(24..)?, MAX_PDB_NAME_BYTES)?,
                store_id: format!("{data1:08X}{data2:04X}{data3:04X}{data4}{age:X}"),
            })
        }
        b"NB10" => {
            let (signature, age) = (bytes::u32_at(code_view, 8)?, bytes::u32_at(code_view, 12)?);
            Some(PdbReference {
                path: texts.narrow_text(code_view.get(16..)?, MAX_PDB_NAME_BYTES)?,
                store_id: format!("{signature:08X}{age:X}"),
            })
        }
        _ => None,
    }
}

/// Reads the list of unloaded modules; an entry of size 0 is normal there (Windows has it for images that never mapped).
pub fn read_unloaded_modules(stream: &[u8], texts: &Texts<'_>, problems: &mut Problems) -> Vec<UnloadedModuleRecord> {
    let kind = StreamKind::UNLOADED_MODULE_LIST;
    let list = sized_list(stream, ListShape { kind, entry_bytes: 24, max_entries: MAX_MODULES }, problems);
    list.iter()
        .filter_map(|entry| {
            Some(UnloadedModuleRecord {
                base: Va(bytes::u64_at(entry, 0)?),
                size_bytes: u64::from(bytes::u32_at(entry, 8)?),
                checksum: bytes::u32_at(entry, 0xc)?,
                time_date_stamp: bytes::u32_at(entry, 0x10)?,
                path: texts.string_at(u64::from(bytes::u32_at(entry, 0x14)?)),
            })
        })
        .collect()
}
