//! Names of a PDB kept in their compact form, so that the next start reads megabytes instead of transcoding a gigabyte.
//!
//! One file for each PDB, named by its id. A file is used only when everything about it fits: magic, version, id, the size
//! and time of the PDB it was made from (a private PDB and its public version have one id), and a checksum of all that
//! follows. One that does not fit is as none, and is written anew. It appears whole or not at all.
//!
//! ```text
//! magic 8 · version 4 · zero 4 · build 16 · age 4 · kind of build 4 · PDB's size 8 · PDB's time 8 · checksum 8
//! flags 8 · damaged parts 8 · texts, entries, files, lines, frames, programs: count 8 each · the same, packed
//! ```

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use crate::base::addr::Rva;
use crate::base::bytes::{self, slice_at, u8_at, u32_at, u64_at};
use crate::input::dump::mapping::Mapping;

use super::frame_table::{FrameRecord, FrameTable, FrameWay};
use super::names::{LineEntry, ModuleNames, NameEntry, NameKind};
use super::pdb::PdbNames;
use super::pdb_id::{PdbBuild, PdbId};

const MAGIC: &[u8; 8] = b"DTnames\0";
/// Raised when the layout, the way of demangling or the choice of names changes.
const VERSION: u32 = 2;
const HEADER_BYTES: u64 = 0x40;
const CHECKSUM_OFFSET: u64 = 0x38;
const COUNTS_BYTES: u64 = 0x40;
const ENTRY_BYTES: u64 = 13;
const FILE_BYTES: u64 = 8;
const LINE_BYTES: u64 = 12;
const FRAME_BYTES: u64 = 28;
/// In place of a program's number, which is added to the last of these.
const FPO: u32 = 0;
const FPO_SAVES_EBP: u32 = 1;
const FIRST_PROGRAM: u32 = 2;

/// What a cache file is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PdbVersion {
    pub id: PdbId,
    pub size_bytes: u64,
    /// Of the last change, in nanoseconds since 1970; 0 where the file system has none.
    pub modified_ns: u64,
}

impl PdbVersion {
    pub fn of(id: PdbId, file: &fs::Metadata) -> Self {
        let modified = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = modified.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0);
        Self { id, size_bytes: file.len(), modified_ns }
    }
}

/// The names of a PDB as they were kept; `None` when there are none that fit.
pub fn read_cached(folder: &Path, version: PdbVersion) -> Option<PdbNames> {
    decode(&Mapping::open(&path_in(folder, version.id)).ok()?, version)
}

/// Keeps the names of a PDB.
///
/// # Errors
/// When the folder cannot be made or written to. Nothing is left behind then.
pub fn write_cached(folder: &Path, version: PdbVersion, names: &PdbNames) -> io::Result<()> {
    /// Two modules may have one PDB, and are read at once.
    static PARTS: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(folder)?;
    let path = path_in(folder, version.id);
    let number = PARTS.fetch_add(1, Ordering::Relaxed);
    let part = path.with_extension(format!("{}-{number}.part", std::process::id()));
    let write = || {
        let mut file = fs::File::create_new(&part)?;
        file.write_all(&encode(version, names))?;
        file.sync_all()?;
        drop(file);
        fs::rename(&part, &path)
    };
    write().inspect_err(|_| {
        // The first failure is the one to tell; the part may not even exist.
        drop(fs::remove_file(&part));
    })
}

fn path_in(folder: &Path, id: PdbId) -> PathBuf {
    folder.join(format!("{id}.names"))
}

fn encode(version: PdbVersion, pdb: &PdbNames) -> Vec<u8> {
    let ModuleNames { texts, entries, files, lines } = &pdb.names;
    let mut out = header(version);
    out.extend(u64::from(pdb.has_private_symbols).to_le_bytes());
    out.extend(pdb.damaged_part_count.to_le_bytes());
    // A program has no NUL in it.
    let programs = pdb.frames.programs().join("\0");
    let frames = pdb.frames.records();
    for count in [texts.len(), entries.len(), files.len(), lines.len(), frames.len(), programs.len()] {
        out.extend((count as u64).to_le_bytes());
    }
    out.extend(texts.as_bytes());
    for entry in entries {
        for field in [entry.rva, entry.start, entry.end] {
            out.extend(field.to_le_bytes());
        }
        out.push(entry.kind as u8);
    }
    for (start, end) in files {
        out.extend(start.to_le_bytes());
        out.extend(end.to_le_bytes());
    }
    for line in lines {
        for field in [line.rva, line.file, line.line] {
            out.extend(field.to_le_bytes());
        }
    }
    for frame in frames {
        let way = match frame.way {
            FrameWay::Fpo { saves_ebp: false } => FPO,
            FrameWay::Fpo { saves_ebp: true } => FPO_SAVES_EBP,
            FrameWay::Program(index) => index.saturating_add(FIRST_PROGRAM),
        };
        for field in [
            frame.rva.0,
            frame.size_bytes,
            frame.prologue_bytes,
            frame.local_bytes,
            frame.saved_register_bytes,
            frame.parameter_bytes,
            way,
        ] {
            out.extend(field.to_le_bytes());
        }
    }
    out.extend(programs.as_bytes());
    let checksum = checksum(bytes::available_at(&out, HEADER_BYTES, u64::MAX));
    let at = usize::try_from(CHECKSUM_OFFSET).unwrap_or(usize::MAX);
    if let Some((_, place)) = out.split_at_mut_checked(at) {
        place.iter_mut().zip(checksum.to_le_bytes()).for_each(|(byte, new)| *byte = new);
    }
    out
}

/// The checksum's place is 0 here.
fn header(version: PdbVersion) -> Vec<u8> {
    let (build, kind) = match version.id.build {
        PdbBuild::Guid(guid) => (guid, 0_u32),
        PdbBuild::Signature(signature) => (u128::from(signature), 1),
    };
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend([0; 4]);
    out.extend(build.to_le_bytes());
    out.extend(version.id.age.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(version.size_bytes.to_le_bytes());
    out.extend(version.modified_ns.to_le_bytes());
    out.extend([0; 8]);
    out
}

fn decode(file: &[u8], version: PdbVersion) -> Option<PdbNames> {
    let wanted = header(version);
    let is_ours = slice_at(file, 0, CHECKSUM_OFFSET)? == slice_at(&wanted, 0, CHECKSUM_OFFSET)?;
    let body = bytes::available_at(file, HEADER_BYTES, u64::MAX);
    if !is_ours || u64_at(file, CHECKSUM_OFFSET)? != checksum(body) {
        return None;
    }
    let field = |index: u64| u64_at(body, index.checked_mul(8)?);
    let mut rest = bytes::available_at(body, COUNTS_BYTES, u64::MAX);
    // Each array is taken from what is there before room is made for it.
    let mut array = |count: u64, item_bytes: u64| -> Option<&[u8]> {
        let size_bytes = usize::try_from(count.checked_mul(item_bytes)?).ok()?;
        let (array, after) = rest.split_at_checked(size_bytes)?;
        rest = after;
        Some(array)
    };
    let texts = String::from_utf8(array(field(2)?, 1)?.to_vec()).ok()?;
    let entries = array(field(3)?, ENTRY_BYTES)?.chunks_exact(usize::try_from(ENTRY_BYTES).ok()?).map(|item| {
        let kind = NameKind::from_byte(u8_at(item, 12)?)?;
        Some(NameEntry { rva: u32_at(item, 0)?, start: u32_at(item, 4)?, end: u32_at(item, 8)?, kind })
    });
    let entries: Vec<NameEntry> = entries.collect::<Option<_>>()?;
    let files = array(field(4)?, FILE_BYTES)?.chunks_exact(usize::try_from(FILE_BYTES).ok()?);
    let files: Vec<(u32, u32)> = files.map(|item| Some((u32_at(item, 0)?, u32_at(item, 4)?))).collect::<Option<_>>()?;
    let lines = array(field(5)?, LINE_BYTES)?.chunks_exact(usize::try_from(LINE_BYTES).ok()?);
    let lines =
        lines.map(|item| Some(LineEntry { rva: u32_at(item, 0)?, file: u32_at(item, 4)?, line: u32_at(item, 8)? }));
    let lines: Vec<LineEntry> = lines.collect::<Option<_>>()?;
    let frames = array(field(6)?, FRAME_BYTES)?.chunks_exact(usize::try_from(FRAME_BYTES).ok()?).map(decode_frame);
    let frames: Vec<FrameRecord> = frames.collect::<Option<_>>()?;
    let programs = std::str::from_utf8(array(field(7)?, 1)?).ok()?;
    let programs: Vec<Arc<str>> = programs.split('\0').filter(|text| !text.is_empty()).map(Arc::from).collect();
    rest.is_empty().then_some(PdbNames {
        frames: FrameTable::new(frames, programs),
        names: ModuleNames { texts, entries, files, lines },
        damaged_part_count: field(1)?,
        has_private_symbols: field(0)? != 0,
    })
}

fn decode_frame(item: &[u8]) -> Option<FrameRecord> {
    let way = match u32_at(item, 24)? {
        FPO => FrameWay::Fpo { saves_ebp: false },
        FPO_SAVES_EBP => FrameWay::Fpo { saves_ebp: true },
        program => FrameWay::Program(program.checked_sub(FIRST_PROGRAM)?),
    };
    Some(FrameRecord {
        rva: Rva(u32_at(item, 0)?),
        size_bytes: u32_at(item, 4)?,
        prologue_bytes: u32_at(item, 8)?,
        local_bytes: u32_at(item, 12)?,
        saved_register_bytes: u32_at(item, 16)?,
        parameter_bytes: u32_at(item, 20)?,
        way,
    })
}

/// FNV-1a over words of 8 bytes, turned so that high bits reach low ones. It finds damage, not forgery.
fn checksum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let (words, tail) = bytes.as_chunks::<8>();
    let tail = tail.iter().map(|byte| u64::from(*byte));
    for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain(tail) {
        hash = (hash ^ word).wrapping_mul(PRIME).rotate_left(29);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::symbols::names::NamesBuilder;

    fn version() -> PdbVersion {
        let id = PdbId { build: PdbBuild::Guid(0x1234 << 100), age: 3 };
        PdbVersion { id, size_bytes: 17, modified_ns: 5 }
    }

    fn names() -> PdbNames {
        let mut builder = NamesBuilder::default();
        let file = builder.file(r"c:\src\größe.cpp").expect("a number");
        builder.add(Rva(0x1000), "Class::f", NameKind::GlobalFunction);
        builder.add(Rva(0x2000), "g", NameKind::PublicFunction);
        builder.add_line(Rva(0x1000), 16, file, 7);
        let ways = [FrameWay::Program(1), FrameWay::Fpo { saves_ebp: true }, FrameWay::Fpo { saves_ebp: false }];
        let frame = |(rva, way): (u32, FrameWay)| FrameRecord {
            rva: Rva(rva),
            size_bytes: 0x10,
            prologue_bytes: 1,
            local_bytes: 2,
            saved_register_bytes: 3,
            parameter_bytes: 4,
            way,
        };
        let frames = FrameTable::new(
            [0x1000, 0x2000, 0x3000].into_iter().zip(ways).map(frame).collect(),
            vec!["$T0".into(), "=".into()],
        );
        PdbNames { names: builder.finish(), damaged_part_count: 2, has_private_symbols: true, frames }
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inner = folder.path().join("a/b");
        assert_eq!(read_cached(&inner, version()), None);
        write_cached(&inner, version(), &names()).expect("written");
        write_cached(&inner, version(), &names()).expect("written over");
        assert_eq!(read_cached(&inner, version()), Some(names()));
        assert_eq!(fs::read_dir(&inner).expect("listed").count(), 1, "no part is left behind");
    }

    #[test]
    fn names_of_another_version_are_not_taken() {
        let file = encode(version(), &names());
        let mut others = [version(); 4];
        others[0].size_bytes += 1;
        others[1].modified_ns += 1;
        others[2].id.age += 1;
        others[3].id.build = PdbBuild::Signature(0);
        assert_eq!(decode(&file, version()), Some(names()));
        for other in others {
            assert_eq!(decode(&file, other), None, "{other:?}");
        }
    }

    #[test]
    fn each_damaged_byte_is_found() {
        let file = encode(version(), &names());
        for index in (0..file.len()).filter(|index| !(12..16).contains(index)) {
            let mut damaged = file.clone();
            damaged.iter_mut().skip(index).take(1).for_each(|byte| *byte ^= 0x10);
            assert_eq!(decode(&damaged, version()), None, "byte {index}");
            assert_eq!(decode(bytes::available_at(&file, 0, index as u64), version()), None, "cut at {index}");
        }
    }
}
