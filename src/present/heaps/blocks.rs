//! The blocks of one heap as a list, narrowed down before it is made: a heap may have millions.

use crate::analysis::snapshot::Snapshot;
use crate::analysis::snapshot::heaps::visit_heap;
use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::progress::{Cancelled, Progress};
use crate::present::table::{Align, Cell, Column, TableModel, Tone};
use crate::present::value::Value;
use crate::process::heap::block::{Block, BlockKind, BlockSink, Loss, Trace};

use super::block_kind_name;
use crate::present::windbg;

/// A list of more is scrolled by nobody; narrowing it down finds what it lacks.
pub const MOST_BLOCKS: usize = 400_000;

/// Which blocks are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BlockFilter {
    pub group: BlockGroup,
    /// Of the whole block.
    pub size_bytes: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BlockGroup {
    #[default]
    InUse,
    Free,
    All,
}

impl BlockGroup {
    pub const ALL: [(Self, &'static str); 3] = [(Self::InUse, "in use"), (Self::Free, "free"), (Self::All, "all")];

    const fn has(self, kind: BlockKind) -> bool {
        match self {
            Self::InUse => kind.is_in_use(),
            Self::Free => kind.is_free(),
            Self::All => true,
        }
    }
}

impl BlockFilter {
    fn has(&self, block: &Block) -> bool {
        self.group.has(block.kind) && self.size_bytes.is_none_or(|size_bytes| size_bytes == block.size_bytes)
    }
}

/// Blocks of one heap, in the order of addresses.
#[derive(Debug)]
pub struct BlockTable {
    width: PointerWidth,
    blocks: Vec<Block>,
    /// Blocks that fit the filter and are not in the list.
    pub left_out_count: u64,
}

const COLUMNS: [Column; 6] = [
    Column::number("HEAP_ENTRY", 17, "Where the block begins: its header"),
    Column::number("size", 9, "The whole block, in hexadecimal"),
    Column::number("UserPtr", 17, "What the program has: where its memory begins"),
    Column::number("UserSize", 9, "What the program asked for, in hexadecimal"),
    Column {
        title: "state",
        align: Align::Left,
        width_chars: 12,
        hint: "busy, free, and which part of the heap it is of",
    },
    Column::number("trace", 17, "The record of the stack that allocated it (gflags +ust)"),
];

impl BlockTable {
    /// Lists the blocks of a heap of a dump. Reads the whole heap.
    ///
    /// # Errors
    /// Only when cancelled.
    pub fn list(snapshot: &Snapshot, heap: usize, filter: BlockFilter, progress: &Progress) -> Result<Self, Cancelled> {
        let Some(heap) = snapshot.heaps.get(heap) else {
            return Ok(Self { width: PointerWidth::Bits64, blocks: Vec::new(), left_out_count: 0 });
        };
        let sinks = visit_heap(snapshot, heap, || Listed { filter, blocks: Vec::new(), left_out_count: 0 }, progress)?;
        let mut blocks = Vec::new();
        let mut left_out_count = 0_u64;
        for sink in sinks {
            blocks.extend(sink.blocks);
            left_out_count = left_out_count.saturating_add(sink.left_out_count);
        }
        blocks.sort_unstable_by_key(|block| (block.entry, block.kind));
        left_out_count = left_out_count.saturating_add(blocks.len().saturating_sub(MOST_BLOCKS) as u64);
        blocks.truncate(MOST_BLOCKS);
        Ok(Self { width: heap.extent.width, blocks, left_out_count })
    }

    pub fn block(&self, row: usize) -> Option<&Block> {
        self.blocks.get(row)
    }

    pub fn row_of(&self, entry: Va) -> Option<usize> {
        let row = self.blocks.partition_point(|block| block.entry < entry);
        self.blocks.get(row).filter(|block| block.entry == entry).map(|_| row)
    }

    pub const fn width(&self) -> PointerWidth {
        self.width
    }
}

struct Listed {
    filter: BlockFilter,
    blocks: Vec<Block>,
    left_out_count: u64,
}

impl BlockSink for Listed {
    fn block(&mut self, block: &Block) {
        if !self.filter.has(block) {
            return;
        }
        if self.blocks.len() < MOST_BLOCKS {
            self.blocks.push(*block);
        } else {
            self.left_out_count = self.left_out_count.saturating_add(1);
        }
    }

    fn lost(&mut self, _: VaRange, _: Loss) {}

    fn broken_chain(&mut self, _: Va) {}
}

impl TableModel for BlockTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.blocks.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(block) = self.blocks.get(row) else { return Cell::new(Value::Absent) };
        let value = match column {
            0 => Value::Address(block.entry, self.width),
            1 => Value::HexBytes(block.size_bytes),
            2 => block.user.map_or(Value::Absent, |va| Value::Address(va, self.width)),
            3 => block.user_bytes.map_or(Value::Absent, Value::HexBytes),
            4 => {
                let tone = if block.kind.is_in_use() { Tone::Normal } else { Tone::Dim };
                return Cell::toned(Value::text(block_kind_name(block.kind)), tone);
            }
            _ => match block.trace {
                Trace::At(va) => Value::Address(va, self.width),
                Trace::Index(index) => Value::text(format!("index {index:x}")),
                Trace::Missing if block.kind.is_in_use() => {
                    return Cell::toned(Value::text("none"), Tone::Dim);
                }
                Trace::Missing | Trace::NotKept => Value::Absent,
            },
        };
        Cell::new(value)
    }

    fn windbg(&self, row: usize, _: usize) -> Option<String> {
        let block = self.blocks.get(row)?;
        Some(windbg::heap_block(block.user.unwrap_or(block.entry), self.width))
    }
}
