//! What ntdll's PDB tells of a process, where it is at hand: the pointer variables that lead to the trace stores, other
//! variables that debuggers print, and where the fields of heaps and of the trace database lie in this very build.

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::Dump;
use crate::input::image::read_headers;
use crate::input::symbols::loader::{pdb_symbols, pdb_types};
use crate::input::symbols::search::{Downloads, SymbolSearch};
use crate::process::heap::layouts::{HeapLayout, layout_from_pdb};
use crate::process::traces::{DatabaseFields, Hints};

/// Windows XP to Vista, and 7 to 11.
const DATABASE: [&str; 2] = ["RtlpStackTraceDataBase", "RtlpStackTraceDatabase"];
const HEAP_LOG: &str = "RtlpHeapStackTraceLog";
const LFH_KEY: &str = "RtlpLFHKey";
const TYPES: [&str; 4] = ["_HEAP", "_HEAP_USERDATA_HEADER", "_STACK_TRACE_DATABASE", "_RTL_STACK_TRACE_ENTRY"];

/// Of the one or two ntdlls of a process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NtdllFacts {
    pub hints: Hints,
    by_width: Vec<NtdllWidth>,
}

/// What the PDB of one ntdll tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NtdllWidth {
    pub width: PointerWidth,
    pub heap_layout: Option<HeapLayout>,
    pub lfh_key: Option<u64>,
}

impl NtdllFacts {
    pub fn of(&self, width: PointerWidth) -> Option<&NtdllWidth> {
        self.by_width.iter().find(|ntdll| ntdll.width == width)
    }

    pub fn lfh_key(&self, width: PointerWidth) -> Option<u64> {
        self.of(width).and_then(|ntdll| ntdll.lfh_key)
    }
}

/// Looks for ntdll's PDB on this machine alone: a dump opens at once or not at all.
pub fn read_ntdll_facts(dump: &Dump, search: &SymbolSearch, progress: &Progress) -> Result<NtdllFacts, Cancelled> {
    let search = SymbolSearch { downloads: Downloads::NotYet, ..search.clone() };
    let mut facts = NtdllFacts::default();
    for module in dump.modules.iter().flatten() {
        if !module.file_name().eq_ignore_ascii_case("ntdll.dll") {
            continue;
        }
        let Some(width) = read_headers(&dump.memory, module.base).map(|headers| headers.width) else { continue };
        let Some(symbols) = pdb_symbols(module, &search, progress)? else { continue };
        let value = |name: &str| memory::pointer_at(&dump.memory, symbols.address_of(name)?, width);
        let database: Option<Va> = DATABASE.iter().find_map(|name| value(name));
        let heap_log = value(HEAP_LOG);
        let types = pdb_types(module, &search, &TYPES, progress)?;
        let offset_of = |structure: &str, field: &str| types.get(structure)?.offset_of(field);
        let fields = database_fields(&offset_of);
        let hints = &mut facts.hints;
        match width {
            PointerWidth::Bits64 => {
                hints.database_64 = hints.database_64.or(database);
                hints.heap_log_64 = hints.heap_log_64.or(heap_log);
                hints.fields_64 = hints.fields_64.or(fields);
            }
            PointerWidth::Bits32 => {
                hints.database_32 = hints.database_32.or(database);
                hints.heap_log_32 = hints.heap_log_32.or(heap_log);
                hints.fields_32 = hints.fields_32.or(fields);
            }
        }
        if facts.of(width).is_none() {
            let heap_layout = layout_from_pdb(width, &offset_of);
            let lfh_key = value(LFH_KEY).map(|key| key.0).filter(|key| *key != 0);
            facts.by_width.push(NtdllWidth { width, heap_layout, lfh_key });
        }
    }
    Ok(facts)
}

/// `None` where the PDB lacks the type, or a field that every version has.
fn database_fields(offset_of: &dyn Fn(&str, &str) -> Option<u64>) -> Option<DatabaseFields> {
    let of = |field| offset_of("_STACK_TRACE_DATABASE", field);
    Some(DatabaseFields {
        lower_memory_start: of("LowerMemoryStart"),
        pre_committed: of("PreCommitted")?,
        commit_base: of("CommitBase")?,
        looked_up_count: of("NumberOfEntriesLookedUp")?,
        index_array: of("EntryIndexArray")?,
        allocated_count: of("NumberOfEntriesAllocated"),
        failure_count: of("NumberOfAllocationFailures"),
        bucket_count: of("NumberOfBuckets")?,
        buckets: of("Buckets")?,
        has_block_depth: offset_of("_RTL_STACK_TRACE_ENTRY", "BlockDepth").is_some(),
    })
}
