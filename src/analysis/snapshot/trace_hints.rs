//! The values of ntdll's pointer variables that lead to the trace stores, where ntdll's PDB is at hand.

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::Dump;
use crate::input::image::read_headers;
use crate::input::symbols::loader::pdb_symbols;
use crate::input::symbols::search::{Downloads, SymbolSearch};
use crate::process::traces::Hints;

/// Windows XP to Vista, and 7 to 11.
const DATABASE: [&str; 2] = ["RtlpStackTraceDataBase", "RtlpStackTraceDatabase"];
const HEAP_LOG: &str = "RtlpHeapStackTraceLog";

/// Looks for ntdll's PDB on this machine alone: a dump opens at once or not at all.
pub fn trace_hints(dump: &Dump, search: &SymbolSearch, progress: &Progress) -> Result<Hints, Cancelled> {
    let search = SymbolSearch { downloads: Downloads::NotYet, ..search.clone() };
    let mut hints = Hints::default();
    for module in dump.modules.iter().flatten() {
        if !module.file_name().eq_ignore_ascii_case("ntdll.dll") {
            continue;
        }
        let Some(width) = read_headers(&dump.memory, module.base).map(|headers| headers.width) else { continue };
        let Some(symbols) = pdb_symbols(module, &search, progress)? else { continue };
        let value = |name: &str| memory::pointer_at(&dump.memory, symbols.address_of(name)?, width);
        let database: Option<Va> = DATABASE.iter().find_map(|name| value(name));
        let heap_log = value(HEAP_LOG);
        match width {
            PointerWidth::Bits64 => {
                hints.database_64 = hints.database_64.or(database);
                hints.heap_log_64 = hints.heap_log_64.or(heap_log);
            }
            PointerWidth::Bits32 => {
                hints.database_32 = hints.database_32.or(database);
                hints.heap_log_32 = hints.heap_log_32.or(heap_log);
            }
        }
    }
    Ok(hints)
}
