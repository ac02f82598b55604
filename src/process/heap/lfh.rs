//! Blocks of the low-fragmentation heap: they lie in containers, which are ordinary blocks of the heap's own lists.
//!
//! A container begins with `_HEAP_USERDATA_HEADER`, whose SubSegment says how many blocks of which size there are. Windows 7
//! has the first block at a fixed place; 8.1 and later say where, masked with `ntdll!RtlpLFHKey`. Without symbols that key is
//! found by what the blocks' own headers show, and all containers must agree on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};
use crate::base::bytes;
use crate::base::memory::{self, ReadMemory, copy_at};

use super::block::{Block, BlockKind, BlockSink, Loss, Trace};
use super::entry::{EntryRule, FRONT_END_BLOCK};
use super::head::{FrontEnd, HeapHead};
use super::layouts::{FirstBlock, LfhLayout, lfh_layout};

const USER_BLOCKS_SIGNATURE: u32 = 0xf0e0_d0c0;
/// Containers that the key is looked for in; they all must agree on it.
const MOST_VOTES: usize = 1024;
/// Blocks of a container whose marks must be there: more prove nothing more.
const MARKS_LOOKED_AT: u16 = 256;
/// The header of a container with the bitmap of its blocks ends before this.
const LARGEST_FIRST_BLOCK: u64 = 0x1000;

/// A block that holds blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Container {
    pub entry: Va,
    pub size_bytes: u64,
}

/// How containers of one heap are read.
#[derive(Clone, Debug)]
pub(super) struct Containers {
    layout: &'static LfhLayout,
    /// The heap's `_LFH_HEAP`.
    lfh_heap: Va,
    granule_bytes: u64,
    header_offset: u64,
}

/// Low half of `ntdll!RtlpLFHKey`.
pub(super) type LfhKey = u32;

/// The shape of one container's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Shape {
    user_blocks: Va,
    subsegment: Va,
    stride: u64,
    block_count: u16,
    /// FirstAllocationOffset and BlockStride as stored, where the header has them.
    told: Option<u32>,
    /// From the user data header to the container's end.
    room_bytes: u64,
}

impl Containers {
    /// `None` where the heap has no low-fragmentation heap, or one whose blocks are not known (XP, 2003).
    pub fn of(head: &HeapHead) -> Option<Self> {
        (head.front_end == FrontEnd::LowFragmentation).then_some(())?;
        Some(Self {
            layout: lfh_layout(head.layout.generation, head.width())?,
            lfh_heap: head.front_end_at?,
            granule_bytes: head.layout.granule_bytes(),
            header_offset: head.layout.header_offset(),
        })
    }

    /// Whether the block that begins with `block` holds blocks.
    #[inline]
    pub fn is_container(&self, block: &[u8], size_bytes: u64) -> bool {
        let at = self.granule_bytes.saturating_add(self.layout.user_blocks_signature);
        at < size_bytes && bytes::u32_at(block, at) == Some(USER_BLOCKS_SIGNATURE)
    }

    /// Low half of the key with which containers are masked. `None` where they are not masked, or do not agree.
    pub fn key(&self, memory: &dyn ReadMemory, containers: &[Container]) -> Option<LfhKey> {
        let FirstBlock::Told(_) = self.layout.first_block else { return None };
        let mut votes: BTreeMap<LfhKey, (usize, u64)> = BTreeMap::new();
        for container in containers.iter().take(MOST_VOTES) {
            let Some(shape) = self.shape(memory, *container) else { continue };
            let Some(told) = shape.told else { continue };
            if is_plain(told, shape.stride) {
                continue;
            }
            for first in self.possible_firsts(memory, &shape) {
                let Some(clear) = pack(first, shape.stride) else { continue };
                let vote = votes.entry(told ^ clear ^ self.mask(shape.user_blocks)).or_insert((0, first));
                vote.0 = vote.0.saturating_add(1);
                vote.1 = vote.1.min(first);
            }
        }
        // Of equally many votes the key that puts blocks nearest to the header: what lies further on is the users'.
        votes.iter().max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first))).map(|(key, _)| *key)
    }

    /// What the address of a container and of the front end add to the key: low halves.
    fn mask(&self, user_blocks: Va) -> u32 {
        let [a, b] = [user_blocks, self.lfh_heap].map(|va| u32::try_from(va.0 & 0xffff_ffff).unwrap_or_default());
        a ^ b
    }

    fn shape(&self, memory: &dyn ReadMemory, container: Container) -> Option<Shape> {
        let layout = self.layout;
        let width = if self.granule_bytes == 8 {
            crate::base::addr::PointerWidth::Bits32
        } else {
            crate::base::addr::PointerWidth::Bits64
        };
        let user_blocks = container.entry.checked_add(self.granule_bytes)?;
        let subsegment = memory::pointer_at(memory, user_blocks, width)?;
        let of_subsegment = |offset: u64| subsegment.checked_add(offset);
        let back = memory::pointer_at(memory, of_subsegment(layout.subsegment_user_blocks)?, width)?;
        (back == user_blocks).then_some(())?;
        let block_granules = memory::u16_at(memory, of_subsegment(layout.subsegment_block_size)?)?;
        let block_count = memory::u16_at(memory, of_subsegment(layout.subsegment_block_count)?)?;
        let told = match layout.first_block {
            FirstBlock::At(_) => None,
            FirstBlock::Told(at) => Some(memory::u32_at(memory, user_blocks.checked_add(at)?)?),
        };
        let stride = u64::from(block_granules).checked_mul(self.granule_bytes)?;
        let room_bytes = container.size_bytes.checked_sub(self.granule_bytes)?;
        let fits = stride.checked_mul(u64::from(block_count))? <= room_bytes && stride > self.granule_bytes;
        (fits && block_count > 0).then_some(Shape { user_blocks, subsegment, stride, block_count, told, room_bytes })
    }

    /// Places where all blocks of a container would have the mark of the front end.
    fn possible_firsts(&self, memory: &dyn ReadMemory, shape: &Shape) -> Vec<u64> {
        let blocks_bytes = shape.stride.saturating_mul(u64::from(shape.block_count));
        let last = shape.room_bytes.saturating_sub(blocks_bytes).min(LARGEST_FIRST_BLOCK);
        let mut firsts = Vec::new();
        let mut first = self.granule_bytes.saturating_mul(2);
        while first <= last {
            let marked = (0..u64::from(shape.block_count.min(MARKS_LOOKED_AT))).all(|index| {
                self.block_at(shape, first, index)
                    .and_then(|va| self.mark_of(memory, va))
                    .is_some_and(|mark| mark & FRONT_END_BLOCK != 0)
            });
            if marked {
                firsts.push(first);
            }
            first = first.saturating_add(self.granule_bytes);
        }
        firsts
    }

    fn block_at(&self, shape: &Shape, first: u64, index: u64) -> Option<Va> {
        shape.user_blocks.checked_add(first)?.checked_add(index.checked_mul(shape.stride)?)
    }

    /// UnusedBytes of the header at `block`.
    fn mark_of(&self, memory: &dyn ReadMemory, block: Va) -> Option<u8> {
        memory::u8_at(memory, block.checked_add(self.header_offset)?.checked_add(7)?)
    }

    fn first_block(&self, memory: &dyn ReadMemory, shape: &Shape, key: Option<LfhKey>) -> Option<u64> {
        let told = match (self.layout.first_block, shape.told) {
            (FirstBlock::At(first), _) => return Some(first),
            (FirstBlock::Told(_), Some(told)) => told,
            (FirstBlock::Told(_), None) => return None,
        };
        let clear = if is_plain(told, shape.stride) { told } else { told ^ key? ^ self.mask(shape.user_blocks) };
        let (first, stride) = (u64::from(clear & 0xffff), u64::from(clear >> 16));
        let end = first.checked_add(shape.stride.checked_mul(u64::from(shape.block_count))?)?;
        let is_right = stride == shape.stride && end <= shape.room_bytes && first.is_multiple_of(self.granule_bytes);
        (is_right && self.mark_of(memory, self.block_at(shape, first, 0)?).is_some()).then_some(first)
    }

    /// The key as Windows 7 hides it in the header of each block: low half, from the first blocks of the containers.
    ///
    /// Situation: until 8 the first dword of a block's header is its address, the subsegment, the heap and RtlpLFHKey
    /// combined. Known from: published descriptions of the low-fragmentation heap; seen on Windows 7 build 7601, x86, five
    /// subsegments that agree. Handled: taken only where all containers agree, for one of the two shifts of the address.
    /// Test: `the_key_of_the_front_end_is_found_in_its_blocks`.
    pub fn key_in_blocks(&self, memory: &dyn ReadMemory, heap: Va, containers: &[Container]) -> Option<LfhKey> {
        let FirstBlock::At(first) = self.layout.first_block else { return None };
        let shapes: Vec<Shape> =
            containers.iter().take(MOST_VOTES).filter_map(|container| self.shape(memory, *container)).collect();
        [3, 4].into_iter().find_map(|shift| {
            let mut keys = shapes.iter().flat_map(|shape| {
                (0..u64::from(shape.block_count).min(8)).filter_map(move |index| {
                    let block = self.block_at(shape, first, index)?;
                    let code = memory::u32_at(memory, block.checked_add(self.header_offset)?)?;
                    let mask = (block.0 >> shift) ^ shape.subsegment.0 ^ heap.0;
                    Some(code ^ u32::try_from(mask & 0xffff_ffff).ok()?)
                })
            });
            let key = keys.next()?;
            // One block proves nothing.
            let mut others = 0_usize;
            let agree = keys.all(|other| {
                others = others.saturating_add(1);
                other == key
            });
            (agree && others > 0).then_some(key)
        })
    }
}

/// FirstAllocationOffset and BlockStride in clear, as 8.0 has them.
fn is_plain(told: u32, stride: u64) -> bool {
    let first = told & 0xffff;
    u64::from(told >> 16) == stride && first > 0 && u64::from(first) <= LARGEST_FIRST_BLOCK
}

fn pack(first: u64, stride: u64) -> Option<u32> {
    let [first, stride] = [u16::try_from(first).ok()?, u16::try_from(stride).ok()?].map(u32::from);
    Some((stride << 16) | first)
}

/// Tells the sink of all blocks in a container; a container that cannot be read is lost as a whole.
pub(super) fn read_container<S: BlockSink>(
    memory: &dyn ReadMemory,
    rule: &EntryRule,
    containers: &Containers,
    key: Option<LfhKey>,
    container: Container,
    sink: &mut S,
) {
    let whole = VaRange::from_size(container.entry, container.size_bytes);
    let found = containers.shape(memory, container).and_then(|shape| {
        let first = containers.first_block(memory, &shape, key)?;
        Some((shape, first))
    });
    let Some((shape, first)) = found else {
        sink.lost(whole, Loss::UnknownContainer);
        return;
    };
    for index in 0..u64::from(shape.block_count) {
        let Some(va) = containers.block_at(&shape, first, index) else { return };
        let range = VaRange::from_size(va, shape.stride);
        let wanted = shape.stride.min(super::entry::LONGEST_PREFIX_BYTES);
        // A rest that does not fit into the header lies at the block's end: then all of it is wanted.
        let bytes = memory.bytes_at(va, shape.stride);
        let block = if bytes.len() as u64 >= wanted { Some(bytes.into()) } else { copy_at(memory, va, wanted) };
        let mark = block.as_ref().and_then(|block| bytes::u8_at(block, rule.header_offset.saturating_add(7)));
        let (Some(block), Some(mark)) = (block, mark) else {
            sink.lost(range, Loss::NotInDump);
            continue;
        };
        if mark & FRONT_END_BLOCK == 0 {
            sink.lost(range, Loss::BadHeader);
            continue;
        }
        let plain = Block {
            entry: va,
            size_bytes: shape.stride,
            kind: BlockKind::LfhFree,
            user: None,
            user_bytes: None,
            trace: Trace::NotKept,
        };
        if mark == FRONT_END_BLOCK {
            sink.block(&plain);
            continue;
        }
        let part = rule.user_part(&block, shape.stride, 0, mark & !FRONT_END_BLOCK);
        sink.block(&Block {
            kind: BlockKind::LfhBusy,
            user: part.and_then(|part| va.checked_add(part.offset)),
            user_bytes: part.map(|part| part.user_bytes),
            trace: part.map_or(Trace::Missing, |part| part.trace),
            ..plain
        });
    }
}
