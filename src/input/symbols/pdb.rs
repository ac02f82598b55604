//! Reads a PDB: its id, names of functions and variables, source lines.
//!
//! The format's reader is the crate `pdb2`. It may panic on damage and it takes counts of some records on trust; so only the
//! records that give names are handed to it, its bytes come through `pdb_source`, and each part is read under a guard: what
//! fails costs that part and is counted.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pdb2::{
    AddressMap, FallibleIterator, ModuleInfo, PDB, PdbInternalRva, PdbInternalSectionOffset, StreamIndex, StringRef,
    StringTable, SymbolData, SymbolIter,
};

use crate::base::addr::Rva;
use crate::base::printable::printable;
use crate::base::progress::{Cancelled, Progress};

use super::deep_stack::{Stopped, on_deep_stack};
use super::demangle::Demangler;
use super::frame_table::{FrameTable, frame_streams, read_fpo, read_frame_data};
use super::names::{ModuleNames, NameKind, NamesBuilder};
use super::pdb_id::{PdbBuild, PdbId};
use super::pdb_source::PdbBytes;

/// The format ends at 4 GB with its usual pages.
const MAX_PDB_BYTES: u64 = 8 << 30;
/// How often a cancel is looked for, in names.
const NAMES_PER_CHECK: u64 = 1 << 14;

/// Why a file gives no names.
#[derive(Debug, thiserror::Error)]
pub enum PdbError {
    #[error("is empty")]
    Empty,
    #[error("is no PDB")]
    NotPdb,
    #[error("is larger than {} GB", MAX_PDB_BYTES >> 30)]
    TooLarge,
    #[error("belongs to another build: it is {found}, the image wants {wanted}")]
    OtherBuild { found: PdbBuild, wanted: PdbBuild },
    #[error("has the age {found}, the image wants {wanted}")]
    OtherAge { found: u32, wanted: u32 },
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error("{0}")]
    Stopped(String),
}

impl From<pdb2::Error> for PdbError {
    fn from(error: pdb2::Error) -> Self {
        match error {
            pdb2::Error::UnrecognizedFileFormat => Self::NotPdb,
            other => Self::Damaged(printable(&other.to_string())),
        }
    }
}

impl From<Stopped> for PdbError {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped.to_string())
    }
}

/// What a PDB gives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PdbNames {
    pub names: ModuleNames,
    /// Parts (object files, the public names) that could not be read to their end.
    pub damaged_part_count: u64,
    /// Whether private symbols are in it. Without them names of static functions and lines are missing.
    pub has_private_symbols: bool,
    /// Of x86 functions.
    pub frames: FrameTable,
}

/// One symbol as the PDB has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RawSymbol {
    pub rva: Rva,
    pub kind: NameKind,
    /// As the compiler wrote it: public names are mangled.
    pub name: String,
}

/// Reads the names of a PDB that must have the id `wanted`.
///
/// # Errors
/// The outer one only when cancelled, the inner one says why the file gives nothing.
pub fn read_pdb(bytes: &[u8], wanted: PdbId, progress: &Progress) -> Result<Result<PdbNames, PdbError>, Cancelled> {
    let mut builder = NamesBuilder::default();
    let mut demangler = Demangler::default();
    let read = on_deep_stack(|| {
        let is_x86 = std::cell::Cell::new(false);
        let mut sink = Sink {
            progress,
            seen_count: 0,
            builder: &mut builder,
            take: &mut |builder, rva, kind, name| {
                let is_public = matches!(kind, NameKind::PublicFunction | NameKind::PublicData);
                let name = if is_public && is_x86.get() { demangler.name_x86(name) } else { demangler.name(name) };
                let is_plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
                if is_plain {
                    builder.add(rva, &name, kind);
                } else {
                    builder.add(rva, &printable(&name), kind);
                }
            },
        };
        read_parts(bytes, Some(wanted), &mut sink, &is_x86)
    });
    flatten(read).map(|read| read.map(|parts| parts.with_names(builder.finish())))
}

/// All symbols of a PDB that name code or data, as they stand there; meant for checking this reader against others.
///
/// # Errors
/// Says why the file gives nothing.
pub fn raw_symbols(bytes: &[u8]) -> Result<Vec<RawSymbol>, PdbError> {
    let mut symbols = Vec::new();
    let mut builder = NamesBuilder::default();
    let progress = Progress::default();
    let read = on_deep_stack(|| {
        let mut sink = Sink {
            progress: &progress,
            seen_count: 0,
            builder: &mut builder,
            take: &mut |_, rva, kind, name| {
                symbols.push(RawSymbol { rva, kind, name: name.to_owned() });
            },
        };
        read_parts(bytes, None, &mut sink, &std::cell::Cell::new(false))
    });
    match flatten(read) {
        Ok(read) => read.map(|_| symbols),
        Err(Cancelled) => Ok(symbols),
    }
}

/// The id of a PDB.
///
/// # Errors
/// Says why the file has none.
pub fn id_of(bytes: &[u8]) -> Result<PdbId, PdbError> {
    on_deep_stack(|| {
        let mut pdb = open(bytes)?;
        let ids = read_ids(&mut pdb)?;
        Ok(PdbId { build: PdbBuild::Guid(ids.guid), age: ids.image_age.unwrap_or(ids.file_age) })
    })?
}

/// Why reading ended early.
pub(super) enum Ended {
    Cancelled,
    Unreadable(PdbError),
}

impl From<Cancelled> for Ended {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<pdb2::Error> for Ended {
    fn from(error: pdb2::Error) -> Self {
        Self::Unreadable(error.into())
    }
}

impl From<PdbError> for Ended {
    fn from(error: PdbError) -> Self {
        Self::Unreadable(error)
    }
}

pub(super) fn flatten<T>(read: Result<Result<T, Ended>, Stopped>) -> Result<Result<T, PdbError>, Cancelled> {
    match read {
        Ok(Ok(value)) => Ok(Ok(value)),
        Ok(Err(Ended::Cancelled)) => Err(Cancelled),
        Ok(Err(Ended::Unreadable(error))) => Ok(Err(error)),
        Err(stopped) => Ok(Err(stopped.into())),
    }
}

pub(super) type Pdb<'a> = PDB<'a, PdbBytes<'a>>;

/// Takes one name.
type Take<'a> = &'a mut dyn FnMut(&mut NamesBuilder, Rva, NameKind, &str);

/// Where names go.
struct Sink<'a> {
    progress: &'a Progress,
    seen_count: u64,
    builder: &'a mut NamesBuilder,
    take: Take<'a>,
}

#[derive(Default)]
struct Parts {
    damaged_part_count: u64,
    has_private_symbols: bool,
    frames: FrameTable,
}

impl Parts {
    fn with_names(self, names: ModuleNames) -> PdbNames {
        let Self { damaged_part_count, has_private_symbols, frames } = self;
        PdbNames { names, damaged_part_count, has_private_symbols, frames }
    }

    /// Reads one part; what fails, by an error or a panic, is counted.
    fn guard(&mut self, read: impl FnOnce() -> Result<(), Ended>) -> Result<(), Ended> {
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(())) => {}
            Ok(Err(Ended::Cancelled)) => return Err(Ended::Cancelled),
            Ok(Err(Ended::Unreadable(_))) | Err(_) => {
                self.damaged_part_count = self.damaged_part_count.saturating_add(1);
            }
        }
        Ok(())
    }
}

fn open(bytes: &[u8]) -> Result<Pdb<'_>, PdbError> {
    match bytes.len() as u64 {
        0 => Err(PdbError::Empty),
        length if length > MAX_PDB_BYTES => Err(PdbError::TooLarge),
        _ => Ok(PDB::open(PdbBytes::new(bytes))?),
    }
}

/// Opens a PDB that must have the id `wanted`.
pub(super) fn open_checked(bytes: &[u8], wanted: PdbId) -> Result<Pdb<'_>, PdbError> {
    let mut pdb = open(bytes)?;
    read_ids(&mut pdb)?.check(wanted)?;
    Ok(pdb)
}

struct Ids {
    guid: u128,
    signature: u32,
    file_age: u32,
    /// The age that the linker wrote for the image; tools which rewrite the file raise only the other one.
    image_age: Option<u32>,
}

fn read_ids(pdb: &mut Pdb<'_>) -> Result<Ids, PdbError> {
    let info = pdb.pdb_information()?;
    let (guid, signature, file_age) = (info.guid.as_u128(), info.signature, info.age);
    let image_age = pdb.debug_information()?.age();
    Ok(Ids { guid, signature, file_age, image_age })
}

impl Ids {
    fn check(&self, wanted: PdbId) -> Result<(), PdbError> {
        let found = match wanted.build {
            PdbBuild::Guid(_) => PdbBuild::Guid(self.guid),
            PdbBuild::Signature(_) => PdbBuild::Signature(self.signature),
        };
        if found != wanted.build {
            return Err(PdbError::OtherBuild { found, wanted: wanted.build });
        }
        let age = self.image_age.unwrap_or(self.file_age);
        if age == wanted.age { Ok(()) } else { Err(PdbError::OtherAge { found: age, wanted: wanted.age }) }
    }
}

fn read_parts(
    bytes: &[u8],
    wanted: Option<PdbId>,
    sink: &mut Sink<'_>,
    is_x86: &std::cell::Cell<bool>,
) -> Result<Parts, Ended> {
    let mut pdb = match wanted {
        Some(wanted) => open_checked(bytes, wanted)?,
        None => open(bytes)?,
    };
    let info = pdb.debug_information()?;
    is_x86.set(info.machine_type().is_ok_and(|machine| machine == pdb2::MachineType::X86));
    let addresses = pdb.address_map()?;
    let mut parts = Parts::default();
    parts.guard(|| {
        let symbols = pdb.global_symbols()?;
        read_symbols(symbols.iter(), &addresses, sink)
    })?;
    // Without source file names there are no lines; functions are there all the same.
    let mut strings = None;
    parts.guard(|| {
        strings = match pdb.string_table() {
            Err(pdb2::Error::StreamNameNotFound | pdb2::Error::StreamNotFound(_)) => None,
            strings => Some(strings?),
        };
        Ok(())
    })?;
    if is_x86.get() {
        let mut frames = FrameTable::default();
        parts.guard(|| {
            frames = read_frames(&mut pdb, &addresses, strings.as_ref())?;
            Ok(())
        })?;
        parts.frames = frames;
    }
    let mut modules = info.modules()?;
    // A stream belongs to one object file; a list that names it again and again would be read as often.
    let mut seen_streams = HashSet::new();
    loop {
        sink.progress.check()?;
        let module = match modules.next() {
            Ok(Some(module)) => module,
            Ok(None) => break,
            Err(_) => {
                parts.damaged_part_count = parts.damaged_part_count.saturating_add(1);
                break;
            }
        };
        if !seen_streams.insert(module.info().stream.0) {
            continue;
        }
        let mut has_symbols = false;
        parts.guard(|| {
            let Some(of_module) = pdb.module_info(&module)? else { return Ok(()) };
            has_symbols = true;
            read_symbols(of_module.symbols()?, &addresses, sink)?;
            let has_lines = module.info().c13_lines_size > 0;
            strings
                .as_ref()
                .filter(|_| has_lines)
                .map_or(Ok(()), |strings| read_lines(&of_module, strings, &addresses, sink))
        })?;
        parts.has_private_symbols |= has_symbols;
    }
    Ok(parts)
}

fn read_frames(
    pdb: &mut Pdb<'_>,
    addresses: &AddressMap<'_>,
    strings: Option<&StringTable<'_>>,
) -> Result<FrameTable, Ended> {
    const DBI_STREAM: StreamIndex = StreamIndex(3);
    let rva_of = |rva: u32| PdbInternalRva(rva).to_rva(addresses).map(|rva| Rva(rva.0));
    let text_at = |place: u32| Some(strings?.get(StringRef(place)).ok()?.to_string().into_owned());
    let Some(dbi) = pdb.raw_stream(DBI_STREAM)? else { return Ok(FrameTable::default()) };
    let [fpo, frame_data] = frame_streams(dbi.as_slice());
    let mut stream = |index: Option<u16>| match index {
        Some(index) => pdb.raw_stream(StreamIndex(index)),
        None => Ok(None),
    };
    let mut records = stream(fpo)?.map(|stream| read_fpo(stream.as_slice(), rva_of)).unwrap_or_default();
    let mut programs = Vec::new();
    if let Some(stream) = stream(frame_data)? {
        let (newer, texts) = read_frame_data(stream.as_slice(), rva_of, text_at);
        records.extend(newer);
        programs = texts;
    }
    Ok(FrameTable::new(records, programs))
}

fn read_symbols(mut symbols: SymbolIter<'_>, addresses: &AddressMap<'_>, sink: &mut Sink<'_>) -> Result<(), Ended> {
    while let Some(symbol) = symbols.next()? {
        sink.seen_count = sink.seen_count.wrapping_add(1);
        if sink.seen_count.is_multiple_of(NAMES_PER_CHECK) {
            sink.progress.check()?;
        }
        if !is_name_record(symbol.raw_kind()) {
            continue;
        }
        // One record that cannot be read does not cost the others: its length is known.
        let Ok(data) = symbol.parse() else { continue };
        let found = match &data {
            SymbolData::Public(public) if public.function || public.code => {
                Some((public.offset, NameKind::PublicFunction, &public.name))
            }
            SymbolData::Public(public) => Some((public.offset, NameKind::PublicData, &public.name)),
            SymbolData::Procedure(procedure) if procedure.global => {
                Some((procedure.offset, NameKind::GlobalFunction, &procedure.name))
            }
            SymbolData::Procedure(procedure) => Some((procedure.offset, NameKind::LocalFunction, &procedure.name)),
            SymbolData::Thunk(thunk) => Some((thunk.offset, NameKind::Thunk, &thunk.name)),
            SymbolData::Data(data) => Some((data.offset, NameKind::Data, &data.name)),
            _ => None,
        };
        let Some((offset, kind, name)) = found.filter(|(_, _, name)| !name.is_empty()) else { continue };
        let Some(rva) = rva_of(offset, addresses) else { continue };
        let text = name.to_string();
        (sink.take)(sink.builder, rva, kind, &text);
    }
    Ok(())
}

/// Records of functions, thunks, data and public names, with names that end in a NUL and (`_ST`) that begin with their
/// length: cvinfo.h of Microsoft's published PDB code. No other kind is parsed: some make room for as many items as they
/// say they have.
const fn is_name_record(kind: u16) -> bool {
    const S_THUNK32_ST: u16 = 0x0206;
    const S_LDATA32_ST: u16 = 0x1007;
    const S_GDATA32_ST: u16 = 0x1008;
    const S_PUB32_ST: u16 = 0x1009;
    const S_LPROC32_ST: u16 = 0x100a;
    const S_GPROC32_ST: u16 = 0x100b;
    const S_THUNK32: u16 = 0x1102;
    const S_LDATA32: u16 = 0x110c;
    const S_GDATA32: u16 = 0x110d;
    const S_PUB32: u16 = 0x110e;
    const S_LPROC32: u16 = 0x110f;
    const S_GPROC32: u16 = 0x1110;
    const S_LPROC32_ID: u16 = 0x1146;
    const S_GPROC32_ID: u16 = 0x1147;
    const S_LPROC32_DPC: u16 = 0x1155;
    const S_LPROC32_DPC_ID: u16 = 0x1156;
    matches!(
        kind,
        S_THUNK32_ST
            | S_LDATA32_ST
            | S_GDATA32_ST
            | S_PUB32_ST
            | S_LPROC32_ST
            | S_GPROC32_ST
            | S_THUNK32
            | S_LDATA32
            | S_GDATA32
            | S_PUB32
            | S_LPROC32
            | S_GPROC32
            | S_LPROC32_ID
            | S_GPROC32_ID
            | S_LPROC32_DPC
            | S_LPROC32_DPC_ID
    )
}

/// `None` for a symbol in no section: the linker left its code out, or it is a constant.
fn rva_of(offset: PdbInternalSectionOffset, addresses: &AddressMap<'_>) -> Option<Rva> {
    offset.to_rva(addresses).map(|rva| Rva(rva.0))
}

fn read_lines(
    module: &ModuleInfo<'_>,
    strings: &StringTable<'_>,
    addresses: &AddressMap<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Ended> {
    /// Lines of code that a debugger steps over: 0xf00f00 and 0xfeefee of the compiler.
    const FIRST_HIDDEN_LINE: u32 = 0xf0_0f00;
    let program = module.line_program()?;
    let mut lines = program.lines();
    let mut last_file = None;
    while let Some(line) = lines.next()? {
        sink.seen_count = sink.seen_count.wrapping_add(1);
        if sink.seen_count.is_multiple_of(NAMES_PER_CHECK) {
            sink.progress.check()?;
        }
        let Some(rva) = rva_of(line.offset, addresses) else { continue };
        if line.line_start >= FIRST_HIDDEN_LINE {
            continue;
        }
        let file = match last_file {
            Some((index, file)) if index == line.file_index => file,
            _ => {
                let name = program.get_file_info(line.file_index)?.name;
                let text = printable(&strings.get(name)?.to_string());
                let Some(file) = sink.builder.file(&text) else { continue };
                last_file = Some((line.file_index, file));
                file
            }
        };
        // Without a length: up to the next line that has a place.
        sink.builder.add_line(rva, line.length.unwrap_or(1), file, line.line_start);
    }
    Ok(())
}
