//! What a PDB tells of the frames of x86 functions: FPO records of older compilers, frame data of newer ones.
//!
//! Layouts: FPO_DATA of winnt.h and FRAMEDATA of cvinfo.h, in the streams that the DBI stream's optional header names first
//! and tenth (LLVM's document "The PDB DBI Stream"). The crate `pdb2` reads them too, but takes `fUseBP` of FPO_DATA from
//! another bit than winnt.h has it, and the size of the prologue from half of its byte.
//!
//! **Invariant:** segments are in order and do not overlap; each points at a record.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::base::addr::Rva;
use crate::base::bytes::{self, u16_at, u32_at};

/// The frame of one range of code. Sizes as the PDB has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameRecord {
    pub rva: Rva,
    pub size_bytes: u32,
    pub prologue_bytes: u32,
    pub local_bytes: u32,
    pub saved_register_bytes: u32,
    pub parameter_bytes: u32,
    pub way: FrameWay,
}

/// How the caller is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FrameWay {
    /// By the sizes. `saves_ebp`: the function uses ebp like any other register.
    Fpo { saves_ebp: bool },
    /// By a program, see [`FrameTable::program`].
    Program(u32),
}

/// From here to there the record says most: of those that lie within each other the innermost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    start: u32,
    end: u32,
    record: u32,
}

/// The frame data of one module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FrameTable {
    segments: Vec<Segment>,
    records: Vec<FrameRecord>,
    programs: Vec<Arc<str>>,
}

impl FrameTable {
    /// Of records in any order. An FPO record in code that frame data describes too is left out.
    pub(super) fn new(records: Vec<FrameRecord>, programs: Vec<Arc<str>>) -> Self {
        let is_program = |record: &FrameRecord| matches!(record.way, FrameWay::Program(_));
        let (mut kept, old): (Vec<FrameRecord>, Vec<FrameRecord>) = records.into_iter().partition(is_program);
        let newer = segments_of(&mut kept);
        kept.extend(old.into_iter().filter(|record| segment_at(&newer, record.rva.0).is_none()));
        Self { segments: segments_of(&mut kept), records: kept, programs }
    }

    /// The record for the code at an address.
    pub fn record_at(&self, rva: Rva) -> Option<&FrameRecord> {
        let segment = segment_at(&self.segments, rva.0)?;
        self.records.get(segment.record as usize)
    }

    pub fn program(&self, record: &FrameRecord) -> Option<&Arc<str>> {
        match record.way {
            FrameWay::Program(index) => self.programs.get(index as usize),
            FrameWay::Fpo { .. } => None,
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn records(&self) -> &[FrameRecord] {
        &self.records
    }

    pub(super) fn programs(&self) -> &[Arc<str>] {
        &self.programs
    }
}

fn segment_at(segments: &[Segment], rva: u32) -> Option<&Segment> {
    let after = segments.partition_point(|segment| segment.start <= rva);
    segments.get(after.checked_sub(1)?).filter(|segment| rva < segment.end)
}

/// Sorts the records and cuts them where one begins within another.
fn segments_of(records: &mut [FrameRecord]) -> Vec<Segment> {
    records.sort_by_key(|record| (record.rva, Reverse(record.size_bytes)));
    let end_of = |record: &FrameRecord| record.rva.0.saturating_add(record.size_bytes);
    let mut segments = Vec::new();
    // The records that the place looked at lies in, the outermost first: where each ends, and its number.
    let mut open: Vec<(u32, u32)> = Vec::new();
    let mut at = 0;
    let mut push = |start: u32, end: u32, record: u32| {
        if start < end {
            segments.push(Segment { start, end, record });
        }
        end.max(start)
    };
    for (index, record) in records.iter().enumerate() {
        while let Some((end, number)) = open.pop_if(|(end, _)| *end <= record.rva.0) {
            at = push(at, end, number);
        }
        if let Some((_, number)) = open.last() {
            push(at, record.rva.0, *number);
        }
        at = record.rva.0;
        open.push((end_of(record), u32::try_from(index).unwrap_or(u32::MAX)));
    }
    while let Some((end, number)) = open.pop() {
        at = push(at, end, number);
    }
    segments
}

/// Which streams hold the records: that of FPO_DATA, that of FRAMEDATA.
pub(super) fn frame_streams(dbi: &[u8]) -> [Option<u16>; 2] {
    const HEADER_BYTES: u64 = 64;
    const NO_STREAM: u16 = 0xffff;
    /// The parts before the optional header: modules, section contributions, section map, sources, type servers, edit and
    /// continue. Their sizes stand in the header.
    const PART_SIZES: [u64; 6] = [24, 28, 32, 36, 40, 52];
    const OPTIONAL_HEADER_SIZE: u64 = 48;
    let optional = PART_SIZES.iter().try_fold(HEADER_BYTES, |sum, at| sum.checked_add(u64::from(u32_at(dbi, *at)?)));
    let size_bytes = u32_at(dbi, OPTIONAL_HEADER_SIZE).map_or(0, u64::from);
    let header = optional.map_or(&[][..], |start| bytes::available_at(dbi, start, size_bytes));
    [0, 18].map(|at| u16_at(header, at).filter(|stream| *stream != NO_STREAM))
}

/// Records of FPO_DATA that say something: one with a standard frame or of a trap says nothing that is not seen there.
pub(super) fn read_fpo(stream: &[u8], rva_of: impl Fn(u32) -> Option<Rva>) -> Vec<FrameRecord> {
    const RECORD_BYTES: usize = 16;
    let (records, _) = stream.as_chunks::<RECORD_BYTES>();
    let read = |record: &[u8; RECORD_BYTES]| {
        let attributes = u16_at(record, 14)?;
        let words = |count: u32| count.checked_mul(4);
        // cbProlog: 8 bits, cbRegs: 3, fHasSEH, fUseBP, reserved, cbFrame: 2, which is 0 for a function without frame.
        (attributes >> 14 == 0).then_some(())?;
        Some(FrameRecord {
            rva: rva_of(u32_at(record, 0)?)?,
            size_bytes: u32_at(record, 4)?,
            prologue_bytes: u32::from(attributes & 0xff),
            local_bytes: words(u32_at(record, 8)?)?,
            saved_register_bytes: words(u32::from(attributes >> 8 & 7))?,
            parameter_bytes: words(u32::from(u16_at(record, 12)?))?,
            way: FrameWay::Fpo { saves_ebp: attributes & 0x1000 != 0 },
        })
    };
    records.iter().filter_map(read).collect()
}

/// Records of FRAMEDATA, and the programs that they name by a place in the PDB's table of strings.
pub(super) fn read_frame_data(
    stream: &[u8],
    rva_of: impl Fn(u32) -> Option<Rva>,
    text_at: impl Fn(u32) -> Option<String>,
) -> (Vec<FrameRecord>, Vec<Arc<str>>) {
    const RECORD_BYTES: usize = 32;
    /// Those of real PDBs have a hundred.
    const MOST_PROGRAM_BYTES: usize = 4096;
    let mut programs: Vec<Arc<str>> = Vec::new();
    let mut known: HashMap<u32, Option<u32>> = HashMap::new();
    let mut program = |place: u32| {
        *known.entry(place).or_insert_with(|| {
            let text = text_at(place)
                .filter(|text| !text.is_empty() && text.len() <= MOST_PROGRAM_BYTES && !text.contains('\0'))?;
            programs.push(text.into());
            u32::try_from(programs.len()).ok()?.checked_sub(1)
        })
    };
    let (chunks, _) = stream.as_chunks::<RECORD_BYTES>();
    let read = |record: &[u8; RECORD_BYTES]| {
        Some(FrameRecord {
            rva: rva_of(u32_at(record, 0)?)?,
            size_bytes: u32_at(record, 4)?,
            local_bytes: u32_at(record, 8)?,
            parameter_bytes: u32_at(record, 12)?,
            prologue_bytes: u32::from(u16_at(record, 24)?),
            saved_register_bytes: u32::from(u16_at(record, 26)?),
            way: FrameWay::Program(program(u32_at(record, 20)?)?),
        })
    };
    let records = chunks.iter().filter_map(read).collect();
    (records, programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rva: u32, size_bytes: u32, way: FrameWay) -> FrameRecord {
        FrameRecord {
            rva: Rva(rva),
            size_bytes,
            prologue_bytes: 0,
            local_bytes: 0,
            saved_register_bytes: 0,
            parameter_bytes: 0,
            way,
        }
    }

    #[test]
    fn the_innermost_record_counts() {
        let program = FrameWay::Program(0);
        let fpo = FrameWay::Fpo { saves_ebp: false };
        let records = vec![
            record(0x30, 0x10, program),
            record(0x10, 0x100, program),
            record(0x20, 0x40, program),
            record(0x58, 0x10, program),
            record(0x200, 0x10, fpo),
            // Within frame data.
            record(0x40, 0x10, fpo),
            record(0x300, 0, program),
            record(u32::MAX, u32::MAX, program),
        ];
        let table = FrameTable::new(records, vec!["".into()]);
        let start_at = |rva| table.record_at(Rva(rva)).map(|record| record.rva.0);
        for (rva, start) in [
            (0xf, None),
            (0x10, Some(0x10)),
            (0x1f, Some(0x10)),
            (0x20, Some(0x20)),
            (0x30, Some(0x30)),
            (0x3f, Some(0x30)),
            (0x40, Some(0x20)),
            (0x58, Some(0x58)),
            (0x67, Some(0x58)),
            (0x68, Some(0x10)),
            (0x10f, Some(0x10)),
            (0x110, None),
            (0x205, Some(0x200)),
            (0x300, None),
        ] {
            assert_eq!(start_at(rva), start, "{rva:#x}");
        }
    }

    #[test]
    fn fields_of_fpo_data_lie_where_winnt_h_has_them() {
        let mut bytes = Vec::new();
        // cbFrame, reserved, fUseBP, fHasSEH, cbRegs, cbProlog: 0 0 1 0 2 13, 3 0 1 0 2 13, 0 0 0 1 7 0.
        for attributes in [0x1213_u16, 0xd213, 0x0f00] {
            bytes.extend(0x1000_u32.to_le_bytes());
            bytes.extend(0x20_u32.to_le_bytes());
            bytes.extend(3_u32.to_le_bytes());
            bytes.extend(2_u16.to_le_bytes());
            bytes.extend(attributes.to_le_bytes());
        }
        let records = read_fpo(&bytes, |rva| Some(Rva(rva)));
        let sizes: Vec<_> = records.iter().map(|r| (r.prologue_bytes, r.saved_register_bytes, r.way)).collect();
        assert_eq!(
            sizes,
            [(0x13, 8, FrameWay::Fpo { saves_ebp: true }), (0, 28, FrameWay::Fpo { saves_ebp: false })],
            "the second has a standard frame"
        );
        assert!(records.iter().all(|record| (record.local_bytes, record.parameter_bytes) == (12, 8)));
        assert_eq!(read_fpo(bytes::available_at(&bytes, 0, 15), |rva| Some(Rva(rva))), []);
    }
}
