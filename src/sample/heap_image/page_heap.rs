//! A page heap (gflags +hpa): a handle that is a heap in name only, its root a page behind it, and blocks that end where a
//! page without access begins.
//!
//! Offsets: lists of `_DPH_HEAP_ROOT`, `_DPH_HEAP_BLOCK` and `_DPH_BLOCK_INFORMATION` of Windows 10 and 11; x86 of the first is
//! known in part. The fill of the first page, the root's signature, and that the list of freed blocks is chained through
//! their first field are not confirmed.

use super::plan::encoding_key;
use crate::base::addr::{PointerWidth, Va};
use crate::sample::address_space::winnt::{MEM_COMMIT, PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE};
use crate::sample::address_space::{AddressSpace, AllocationKind, Run};
use crate::sample::le_bytes::LeBytes;

const PAGE_BYTES: u64 = 0x1000;
/// In Flags and ForceFlags: the handle is a page heap.
const PAGE_HEAP_FLAG: u32 = 0x0100_0000;
const ROOT_SIGNATURE: u32 = 0xffee_ddcc;
const START_STAMP: u32 = 0xabcd_bbbb;
const END_STAMP: u32 = 0xdcba_bbbb;
/// What user bytes and what follows them are filled with.
const USER_FILL: u8 = 0xc0;
const SUFFIX_FILL: u8 = 0xd0;

/// One allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageHeapBlock {
    /// Where its pages begin.
    pub base: Va,
    pub requested_bytes: u64,
    pub trace: Va,
    /// Freed: its pages can no longer be read.
    pub is_freed: bool,
}

/// A page heap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageHeapPlan {
    pub width: PointerWidth,
    /// What the array of the PEB names.
    pub handle: Va,
    pub flags: u32,
    /// The NT heap that serves what must not be checked.
    pub normal_heap: Va,
    /// In ascending order.
    pub blocks: Vec<PageHeapBlock>,
}

/// One block as it was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuiltPageBlock {
    /// Its `_DPH_HEAP_BLOCK`.
    pub node: Va,
    pub user: Va,
    /// Pages that can be accessed.
    pub accessible_bytes: u64,
    pub plan: PageHeapBlock,
}

/// A page heap as bytes.
#[derive(Clone, Debug)]
pub struct PageHeapImage {
    pub root: Va,
    pub blocks: Vec<BuiltPageBlock>,
    pub regions: Vec<(Va, AllocationKind, Vec<Run>)>,
    pub writes: Vec<(Va, Vec<u8>)>,
}

impl PageHeapImage {
    /// Allocates the page heap in `space` and writes it.
    pub fn add_to(&self, space: &mut AddressSpace) {
        for (base, kind, runs) in &self.regions {
            space.allocate(*base, *kind, runs);
        }
        for (va, bytes) in &self.writes {
            space.write(*va, bytes.clone());
        }
    }
}

struct Fields {
    flags: usize,
    information_bytes: u64,
    /// Requested, actual size; trace; end stamp.
    information: [usize; 4],
    node_bytes: u64,
    /// pUserAllocation, pVirtualBlock, four sizes, UserValue.
    user_allocation: usize,
    trace: usize,
    busy_table: usize,
    /// nBusyAllocations.
    busy_count: usize,
    next_heap: usize,
    normal_heap: usize,
    /// pFreeAllocationListHead, its tail and the count.
    free_list: Option<usize>,
    /// pVirtualStorageListHead, its tail and the count.
    storage_list: usize,
}

const X86: Fields = Fields {
    flags: 0x40,
    information_bytes: 0x20,
    information: [0x8, 0xc, 0x18, 0x1c],
    node_bytes: 0x40,
    user_allocation: 0x10,
    trace: 0x30,
    busy_table: 0x20,
    busy_count: 0x5c,
    next_heap: 0xa4,
    normal_heap: 0xb4,
    free_list: None,
    storage_list: 0x10,
};

const X64: Fields = Fields {
    flags: 0x70,
    information_bytes: 0x40,
    information: [0x10, 0x18, 0x30, 0x3c],
    node_bytes: 0x80,
    user_allocation: 0x20,
    trace: 0x60,
    busy_table: 0x38,
    busy_count: 0xa8,
    next_heap: 0x138,
    normal_heap: 0x150,
    free_list: Some(0xb8),
    storage_list: 0x18,
};

impl PageHeapPlan {
    /// Bytes, regions and truth.
    pub fn build(&self) -> PageHeapImage {
        let fields = if self.width == PointerWidth::Bits64 { &X64 } else { &X86 };
        let root = Va(self.handle.0 + PAGE_BYTES);
        let nodes_at = root.0 + PAGE_BYTES;
        let blocks = (0..).zip(&self.blocks).map(|(number, block)| {
            let node = Va(nodes_at + number * fields.node_bytes);
            self.place(fields, node, *block)
        });
        let blocks: Vec<BuiltPageBlock> = blocks.collect();
        // Behind the nodes of the blocks one for each storage range: here every block has a range of its own.
        let node_count = 2 * blocks.len() as u64;
        let nodes_bytes = (node_count * fields.node_bytes).next_multiple_of(PAGE_BYTES).max(PAGE_BYTES);
        let mut regions = vec![(
            self.handle,
            AllocationKind::PRIVATE,
            vec![Run::committed(PAGE_BYTES, PAGE_READONLY), Run::committed(PAGE_BYTES + nodes_bytes, PAGE_READWRITE)],
        )];
        let mut nodes = LeBytes::zeroed(usize::try_from(nodes_bytes).unwrap_or_default());
        let top = self.put_nodes(fields, &mut nodes, &blocks, Va(root.0 + fields.busy_table as u64));
        self.put_storage(fields, &mut nodes, Va(nodes_at), &blocks);
        let mut writes = vec![
            (self.handle, self.handle_page(fields)),
            (root, self.root_page(fields, root, &blocks, top)),
            (Va(nodes_at), nodes.into_vec()),
        ];
        for block in &blocks {
            let protect = if block.plan.is_freed { PAGE_NOACCESS } else { PAGE_READWRITE };
            let pages = Run { size_bytes: block.accessible_bytes, state: MEM_COMMIT, protect };
            regions.push((block.plan.base, AllocationKind::PRIVATE, vec![pages, Run::reserved(PAGE_BYTES)]));
            if !block.plan.is_freed {
                writes.push((block.plan.base, self.block_pages(fields, block)));
            }
        }
        PageHeapImage { root, blocks, regions, writes }
    }

    /// User bytes end at the last page, but for their alignment.
    fn place(&self, fields: &Fields, node: Va, plan: PageHeapBlock) -> BuiltPageBlock {
        let user_bytes = plan.requested_bytes.next_multiple_of(2 * self.width.bytes());
        let accessible_bytes = (fields.information_bytes + user_bytes).next_multiple_of(PAGE_BYTES);
        BuiltPageBlock { node, user: Va(plan.base.0 + accessible_bytes - user_bytes), accessible_bytes, plan }
    }

    fn handle_page(&self, fields: &Fields) -> Vec<u8> {
        let mut page = LeBytes::default();
        page.push(&[0xee; PAGE_BYTES as usize]);
        page.put_u32(fields.flags, self.flags | PAGE_HEAP_FLAG).put_u32(fields.flags + 4, self.flags | PAGE_HEAP_FLAG);
        page.into_vec()
    }

    fn root_page(&self, fields: &Fields, root: Va, blocks: &[BuiltPageBlock], top: Va) -> Vec<u8> {
        let step = usize::try_from(self.width.bytes()).unwrap_or(8);
        let mut page = LeBytes::zeroed(PAGE_BYTES as usize);
        page.put_u32(0, ROOT_SIGNATURE).put_u32(4, self.flags | PAGE_HEAP_FLAG);
        let busy_count = blocks.iter().filter(|block| !block.plan.is_freed).count();
        // The balanced root is a node whose right child is the top of the tree.
        page.put_pointer(self.width, fields.busy_table, Va(root.0 + fields.busy_table as u64));
        page.put_pointer(self.width, fields.busy_table + 2 * step, top);
        page.put_u32(fields.busy_table + if step == 8 { 0x2c } else { 0x18 }, busy_count as u32);
        page.put_u32(fields.busy_count, busy_count as u32);
        let link = Va(root.0 + fields.next_heap as u64);
        page.put_pointer(self.width, fields.next_heap, link).put_pointer(self.width, fields.next_heap + step, link);
        page.put_pointer(self.width, fields.normal_heap, self.normal_heap);
        if let Some(free_list) = fields.free_list {
            let freed = || blocks.iter().filter(|block| block.plan.is_freed);
            page.put_pointer(self.width, free_list, freed().next().map_or(Va(0), |block| block.node));
            page.put_pointer(self.width, free_list + step, freed().next_back().map_or(Va(0), |block| block.node));
            page.put_u32(free_list + 2 * step, freed().count() as u32);
        }
        let storage = blocks.first().map_or(Va(0), |first| storage_node(fields, first.node, blocks.len(), 0));
        page.put_pointer(self.width, fields.storage_list, storage);
        page.put_u32(fields.storage_list + 2 * step, blocks.len() as u32);
        let seed = u32::from_le_bytes([encoding_key(self.handle)[0], encoding_key(self.handle)[1], 0x5a, 0]);
        page.put_u32(fields.normal_heap - step, seed);
        page.into_vec()
    }

    /// The nodes of the storage ranges, chained through their first field.
    fn put_storage(&self, fields: &Fields, nodes: &mut LeBytes, nodes_at: Va, blocks: &[BuiltPageBlock]) {
        let step = usize::try_from(self.width.bytes()).unwrap_or(8);
        for (number, block) in blocks.iter().enumerate() {
            let node = |number| storage_node(fields, nodes_at, blocks.len(), number);
            let at = usize::try_from(node(number).0 - nodes_at.0).unwrap_or_default();
            let next = if number + 1 < blocks.len() { node(number + 1) } else { Va(0) };
            nodes.put_pointer(self.width, at, next);
            nodes.put_pointer(self.width, at + fields.user_allocation + step, block.plan.base);
            let range_bytes = block.accessible_bytes + PAGE_BYTES;
            nodes.put_pointer(self.width, at + fields.user_allocation + 2 * step, Va(range_bytes));
        }
    }

    /// Writes all nodes; returns the top of the tree of those in use.
    fn put_nodes(&self, fields: &Fields, nodes: &mut LeBytes, blocks: &[BuiltPageBlock], table: Va) -> Va {
        let step = usize::try_from(self.width.bytes()).unwrap_or(8);
        let first = blocks.first().map_or(0, |block| block.node.0);
        let at = |block: &BuiltPageBlock| usize::try_from(block.node.0 - first).unwrap_or_default();
        for block in blocks {
            let sizes = [
                block.user,
                block.plan.base,
                Va(block.accessible_bytes + PAGE_BYTES),
                Va(block.accessible_bytes),
                Va(block.plan.requested_bytes),
                Va(fields.information_bytes + block.plan.requested_bytes),
            ];
            for (number, value) in sizes.into_iter().enumerate() {
                nodes.put_pointer(self.width, at(block) + fields.user_allocation + number * step, value);
            }
            nodes.put_pointer(self.width, at(block) + fields.trace, block.plan.trace);
        }
        let freed: Vec<_> = blocks.iter().filter(|block| block.plan.is_freed).collect();
        for pair in freed.windows(2) {
            if let [block, next] = pair {
                nodes.put_pointer(self.width, at(block), next.node);
            }
        }
        // Halves of halves, each with its parent; the middle one is the top.
        let busy: Vec<_> = blocks.iter().filter(|block| !block.plan.is_freed).collect();
        let middle_of = |slice: &[&BuiltPageBlock]| slice.get(slice.len() / 2).map_or(Va(0), |block| block.node);
        let mut parts = vec![(busy.as_slice(), table)];
        while let Some((slice, parent)) = parts.pop() {
            let (left, rest) = slice.split_at(slice.len() / 2);
            let Some((block, right)) = rest.split_first() else { continue };
            for (number, value) in [parent, middle_of(left), middle_of(right)].into_iter().enumerate() {
                nodes.put_pointer(self.width, at(block) + number * step, value);
            }
            parts.extend([(left, block.node), (right, block.node)]);
        }
        middle_of(&busy)
    }

    fn block_pages(&self, fields: &Fields, block: &BuiltPageBlock) -> Vec<u8> {
        let mut pages = LeBytes::zeroed(usize::try_from(block.accessible_bytes).unwrap_or_default());
        let user = usize::try_from(block.user.0 - block.plan.base.0).unwrap_or_default();
        let information = user - usize::try_from(fields.information_bytes).unwrap_or_default();
        let step = usize::try_from(self.width.bytes()).unwrap_or(8);
        let [requested, actual, trace, end_stamp] = fields.information;
        pages.put_u32(information, START_STAMP).put_pointer(self.width, information + step, self.handle);
        pages.put_pointer(self.width, information + requested, Va(block.plan.requested_bytes));
        pages.put_pointer(self.width, information + actual, Va(block.accessible_bytes));
        pages.put_pointer(self.width, information + trace, block.plan.trace);
        pages.put_u32(information + end_stamp, END_STAMP);
        let requested_bytes = usize::try_from(block.plan.requested_bytes).unwrap_or_default();
        pages.put(user, &vec![USER_FILL; requested_bytes]);
        let suffix_bytes = pages.len() - user - requested_bytes;
        pages.put(user + requested_bytes, &vec![SUFFIX_FILL; suffix_bytes]);
        pages.into_vec()
    }
}

/// Where the node of storage range `number` lies, behind those of all blocks.
fn storage_node(fields: &Fields, nodes_at: Va, block_count: usize, number: usize) -> Va {
    Va(nodes_at.0 + (block_count + number) as u64 * fields.node_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::{u32_at, u64_at};

    #[test]
    fn the_tree_of_busy_blocks_leads_to_all_of_them_and_each_has_its_stamps() {
        let block = |number: u64| PageHeapBlock {
            base: Va(0x100_0000 + number * 0x1_0000),
            requested_bytes: number * 0x333 + 1,
            trace: Va(0x20_0000 + number * 0x40),
            is_freed: number % 5 == 4,
        };
        let plan = PageHeapPlan {
            width: PointerWidth::Bits64,
            handle: Va(0x50_0000),
            flags: 2,
            normal_heap: Va(0x60_0000),
            blocks: (0..40).map(block).collect(),
        };
        let image = plan.build();
        let bytes_at = |va: u64| {
            let (start, bytes) = image.writes.iter().rfind(|(start, _)| start.0 <= va).unwrap();
            &bytes[usize::try_from(va - start.0).unwrap()..]
        };
        assert_eq!(u32_at(bytes_at(0x50_0074), 0), Some(0x0100_0002));
        let root = bytes_at(0x50_1000);
        assert_eq!((u64_at(root, 0x150), u64_at(root, 0xa8)), (Some(0x60_0000), Some(32)));
        let mut found = Vec::new();
        let mut nodes = vec![(u64_at(root, 0x38 + 0x10).unwrap(), 0x50_1038)];
        while let Some((node, parent)) = nodes.pop().filter(|_| found.len() < 100) {
            if node == 0 {
                continue;
            }
            let bytes = bytes_at(node);
            assert_eq!(u64_at(bytes, 0), Some(parent));
            nodes.extend([8, 16].map(|child| (u64_at(bytes, child).unwrap(), node)));
            found.push(u64_at(bytes, 0x20).unwrap());
        }
        found.sort_unstable();
        let busy: Vec<_> = image.blocks.iter().filter(|block| !block.plan.is_freed).collect();
        assert_eq!(found, busy.iter().map(|block| block.user.0).collect::<Vec<_>>());
        for block in busy {
            let information = bytes_at(block.user.0 - 0x40);
            assert_eq!((u32_at(information, 0), u32_at(information, 0x3c)), (Some(0xabcd_bbbb), Some(0xdcba_bbbb)));
            assert_eq!(u64_at(information, 0x10), Some(block.plan.requested_bytes));
            assert_eq!(u64_at(information, 0x30), Some(block.plan.trace.0));
        }
        let mut space = AddressSpace::default();
        image.add_to(&mut space);
        assert!(space.memory_ranges().is_ok());
    }
}
