//! The Windows 7 x64 database that the program is named for: its listing, and its geometry.

use super::super::area::Area;
use super::super::entry::EntryRule;
use super::super::layouts::BlockRule;
use super::super::walk::{KnownEntries, Step, Steps};
use super::super::{Generation, Health};
use super::build_indexed::{Block, Database, Windows};
use super::{Memory, only_store, put, range, stack};
use crate::base::addr::PointerWidth;

/// What `dps` shows from 0188be00 on.
const LISTING: [u64; 64] = [
    0x7789_1142,
    0x7788_34d8,
    0x1_3fcc_13cb,
    0x1_3fcc_1015,
    0x1_3fcc_1041,
    0x1_3fcc_1061,
    0x1_3fcc_12e3,
    0x1_3fcc_156c,
    0x7772_59ed,
    0x7785_c541,
    0x0188_b1d0,
    0x0009_457d_0002_4fff,
    0x7789_1142,
    0x7788_34d8,
    0x1_3fcc_13cb,
    0x1_3fcc_1015,
    0x1_3fcc_1041,
    0x1_3fcc_12e3,
    0x1_3fcc_156c,
    0x7772_59ed,
    0x7785_c541,
    0,
    0x0188_b230,
    0x0008_457e_0002_3fff,
    0x7789_1142,
    0x7788_34d8,
    0x1_3fcc_13cb,
    0x1_3fcc_1015,
    0x1_3fcc_12e3,
    0x1_3fcc_156c,
    0x7772_59ed,
    0x7785_c541,
    0x0188_b280,
    0x001b_457f_0002_dfff,
    0x7789_1142,
    0x7788_34d8,
    0x1_3fcc_13cb,
    0x1_3fcc_1015,
    0x1_3fcc_1041,
    0x1_3fcc_1061,
    0x1_3fcc_1081,
    0x1_3fcc_10a1,
    0x1_3fcc_10c1,
    0x1_3fcc_10e1,
    0x1_3fcc_1101,
    0x1_3fcc_1121,
    0x1_3fcc_1141,
    0x1_3fcc_1161,
    0x1_3fcc_1181,
    0x1_3fcc_11a1,
    0x1_3fcc_11c1,
    0x1_3fcc_11e1,
    0x1_3fcc_1201,
    0x1_3fcc_1221,
    0x1_3fcc_1241,
    0x1_3fcc_1261,
    0x1_3fcc_1281,
    0x1_3fcc_12e3,
    0x1_3fcc_156c,
    0x7772_59ed,
    0x7785_c541,
    0,
    0,
    0,
];

/// The page that the listing is the end of; what comes before it in the page is not known.
fn listing() -> Memory {
    let mut page = vec![0xcc; 0xe00];
    page.extend(LISTING.iter().flat_map(|qword| qword.to_le_bytes()));
    Memory::default().with(0x0188_b000, page)
}

fn rule(area_start: u64) -> EntryRule {
    EntryRule {
        width: PointerWidth::Bits64,
        blocks: BlockRule::ByBlockDepth,
        alignment: 16,
        is_alignment_certain: true,
        area: range(area_start, 0x0188_bff0),
        links: range(area_start, 0x0188_bff0),
    }
}

#[test]
fn listing_decodes_to_its_three_entries() {
    let memory = listing();
    let area = Area::new(&memory, range(0x001d_57e0, 0x0188_bff0));
    let known = KnownEntries::default();
    // From the midst of an entry on: the first whole one must be found.
    let (steps, first) = Steps::searched(&area, rule(0x001d_57e0), &known, 0x0188_be00, 0x0188_bff0);
    assert_eq!(first, Some(0x0188_be50));
    let found: Vec<_> = steps
        .map(|step| match step {
            Step::Entry { va, entry, bytes } => {
                let frames = rule(0x001d_57e0).frames(&entry, &bytes).len() / 8;
                assert!(entry.is_saturated && !entry.is_free);
                (va, entry.block_bytes, entry.depth, frames, entry.index, entry.block_depth, entry.hash_chain)
            }
            Step::Loss(loss) => panic!("{loss:?}"),
        })
        .collect();
    let expected = [
        (0x0188_be50, 0x60, 9, 9, 0x2457d, Some(9), 0x0188_b1d0),
        (0x0188_beb0, 0x50, 8, 8, 0x2457e, Some(7), 0x0188_b230),
        (0x0188_bf00, 0xf0, 27, 27, 0x2457f, Some(27), 0x0188_b280),
    ];
    assert_eq!(found, expected);
}

/// The second dump: reservation of 24 MB at 001b0000, 9551 buckets, 148,863 entries of 20 stacks, and a first few of
/// other callers; entries end at 0188bff0, and one reserved page is left.
#[test]
fn second_dump_has_one_page_left() {
    let mut blocks = Vec::new();
    // Depths 8 to 27 take 0C80h bytes in 20 entries. Whole cycles of these would need a little more than the listing's
    // addresses leave, so the first entries are shorter.
    let depths = (0..148_863_u64).map(|entry| 8 + (entry + 7) % 20);
    for (index, depth) in depths.enumerate() {
        blocks.push(Block::of(stack(depth, depth), 0x7ff, index as u32 + 1));
    }
    let needed_bytes = 0x0188_bff0_u64 - 0x001d_57e0;
    let mut surplus = blocks.iter().map(|block| (8 * block.frames.len() as u64 + 31) & !15).sum::<u64>() - needed_bytes;
    for block in &mut blocks {
        let length = ((surplus / 8) & !1).min((block.frames.len() as u64 - 7) & !1);
        let before = (8 * block.frames.len() as u64 + 31) & !15;
        block.frames.truncate(block.frames.len() - length as usize);
        surplus -= before - ((8 * block.frames.len() as u64 + 31) & !15);
    }
    let database = Database {
        windows: Windows::Seven,
        pointer_bytes: 8,
        base: 0x001b_0000,
        reserved_bytes: 0x0180_0000,
        bucket_count: 9551,
        blocks,
    };
    let written = database.write();
    assert_eq!(written.next_free_lower, 0x0188_bff0, "{surplus}");
    let store = only_store(&written.memory, &[written.extent], &[]);
    assert_eq!(store.header.generation, Some(Generation::Seven));
    assert!(store.evidence.iter().all(|check| check.passed == Some(true)), "{:#?}", store.evidence);
    assert_eq!((store.entry_count, store.saturated_entry_count), (148_863, 148_863));
    assert_eq!(store.verified_entry_count, 148_863);
    let counts = store.header.counts.unwrap();
    assert_eq!((counts.lower_commit_limit.0, counts.upper_commit_limit.0), (0x0188_c000, 0x0188_d000));
    let health = Health::of(&store);
    assert_eq!((health.room_left_bytes, health.is_full), (Some(0x1000), Some(true)));
    assert_eq!(health.committed_bytes, 0x016d_c000 + 0x0012_3000);
    assert!((99.9..100.0).contains(&health.fill_percent.unwrap()), "{health:?}");
    assert!(health.entries_per_unique_stack.unwrap() > 1000.0, "{health:?}");
    assert_eq!(health.saturated_percent, Some(100.0));
}

#[test]
fn listing_as_the_end_of_a_database_is_found_after_a_gap() {
    // Everything below 0188be00 but the header is missing.
    let mut header = vec![0; 0x1000];
    let fields: [(u64, u64); 7] = [
        (0x78, 0x001d_57e0),
        (0x88, 0x001b_0000),
        (0x90, 0x0188_c000),
        (0x98, 0x0188_d000),
        (0xa0, 0x0188_bff0),
        (0xa8, 0x019b_0000 - 0x2457f * 8),
        (0xb8, 0x019b_0000),
    ];
    for (at, value) in fields {
        put(&mut header, at, &value.to_le_bytes());
    }
    put(&mut header, 0xb4, &0x2457f_u32.to_le_bytes());
    put(&mut header, 0x2d0, &9551_u32.to_le_bytes());
    let memory = listing().with(0x001b_0000, header);
    let store = only_store(&memory, &[range(0x001b_0000, 0x019b_0000)], &[]);
    assert_eq!((store.entry_count, store.saturated_entry_count), (3, 3));
    let stacks: Vec<_> = store.unique.iter().map(|stack| (stack.depth(), stack.last_index)).collect();
    assert_eq!(stacks, [(9, Some(0x2457d)), (8, Some(0x2457e)), (27, Some(0x2457f))]);
    assert!(store.missing_bytes > 0 && !store.problems.is_empty());
}
