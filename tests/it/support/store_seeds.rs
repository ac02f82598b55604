//! The seeds of the fuzz targets `indexed_database` and `heap_log`: small stores of each layout, whole and damaged.

use dumptrend::base::addr::{PointerWidth, Va};
use dumptrend::sample::LeBytes;
use dumptrend::sample::trace_database::{DatabaseShape, EncodedDatabase, TraceDatabase, TraceEntry};

use super::build_log::{HEADER, Log, WrittenLog, zone_start};
use super::process_image::ProcessImage;

const BASE: u64 = 0x24_0000;
const RESERVED_BYTES: u64 = 0x10_0000;
const MODULE: u64 = 0x7780_0000;
const MODULE_BYTES: u64 = 0x40_0000;
const PAGE_BYTES: u64 = 0x1000;

/// Entries of a seed's database.
pub const ENTRY_COUNT: u64 = 60;
/// Records of a seed's log.
pub const RECORD_COUNT: u64 = 40;

/// Each layout with the name of its healthy seed.
pub const LAYOUTS: [(&str, DatabaseShape); 6] = [
    ("seven-x64.bin", DatabaseShape::SEVEN_X64),
    ("seven-x86.bin", DatabaseShape::SEVEN_X86),
    ("vista-x64.bin", DatabaseShape::VISTA_X64),
    ("vista-x86.bin", DatabaseShape::VISTA_X86),
    ("xp-x64.bin", DatabaseShape::XP_X64),
    ("xp-x86.bin", DatabaseShape::XP_X86),
];

fn stack(number: u64, depth: u64) -> Vec<Va> {
    (0..depth).map(|frame| Va(MODULE + 0x1142 + number * 0x1_0010 + frame * 0x40)).collect()
}

/// Twelve stacks of 3 to 14 frames, and one whose last two frames add nothing to the hash.
fn database(shape: DatabaseShape, entry_count: u64) -> TraceDatabase {
    let mut stacks: Vec<Vec<Va>> = (0..12).map(|number| stack(number, 3 + number)).collect();
    stacks[7].extend([Va(0x7783_0000), Va(0x8879_0000), Va(0x7783_0000), Va(0x887d_0000)]);
    let use_count = |number: u64| if number.is_multiple_of(3) { 0x7ff } else { 2 };
    TraceDatabase {
        base: Va(BASE),
        reserved_bytes: RESERVED_BYTES,
        shape,
        bucket_count: 19,
        entries: (0..entry_count)
            .map(|number| TraceEntry { stack_index: (number % 12) as usize, use_count: use_count(number) })
            .collect(),
        stacks,
        lookup_count: 0x4000,
        failure_count: 0,
    }
}

fn encode(shape: DatabaseShape, entry_count: u64) -> EncodedDatabase {
    database(shape, entry_count).encode().expect("the database fits its reservation")
}

fn image(encoded: &EncodedDatabase) -> ProcessImage {
    let upper_start = BASE + RESERVED_BYTES - encoded.upper.len() as u64;
    ProcessImage::default()
        .allocation(BASE, RESERVED_BYTES)
        .module(MODULE, MODULE_BYTES)
        .memory(BASE, &encoded.lower)
        .memory(upper_start, &encoded.upper)
}

/// Writes `bytes` into the lower part, at an address.
fn put(encoded: &mut EncodedDatabase, va: u64, bytes: &[u8]) {
    let at = (va - BASE) as usize;
    encoded.lower[at..at + bytes.len()].copy_from_slice(bytes);
}

pub fn database_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds: Vec<_> =
        LAYOUTS.iter().map(|(name, shape)| (*name, image(&encode(*shape, ENTRY_COUNT)).to_bytes())).collect();
    seeds.push(("free-and-reused-blocks.bin", image(&free_and_reused_blocks()).to_bytes()));
    seeds.push(("pointer-variables.bin", pointer_variables().to_bytes()));
    seeds.push(("two-widths.bin", two_widths().to_bytes()));
    seeds.extend(damaged_databases());
    seeds.extend(WITHOUT_HEADER.map(|(name, shape)| (name, without_header(shape).to_bytes())));
    seeds
}

/// The header overwritten, for each way in which entries read. Twice as many entries, so that enough lie behind the first
/// page.
pub const WITHOUT_HEADER: [(&str, DatabaseShape); 4] = [
    ("without-header-seven-x64.bin", DatabaseShape::SEVEN_X64),
    ("without-header-seven-x86.bin", DatabaseShape::SEVEN_X86),
    ("without-header-xp-x64.bin", DatabaseShape::XP_X64),
    ("without-header-xp-x86.bin", DatabaseShape::XP_X86),
];

fn without_header(shape: DatabaseShape) -> ProcessImage {
    let mut encoded = encode(shape, 2 * ENTRY_COUNT);
    let first = encoded.places[0].0;
    put(&mut encoded, BASE, &vec![0xcc; (first - BASE) as usize]);
    image(&encoded)
}

fn free_and_reused_blocks() -> EncodedDatabase {
    let mut encoded = encode(DatabaseShape::SEVEN_X64, ENTRY_COUNT);
    // Stack 7 is now two or four frames shorter than its block; what is left out adds nothing to its hash.
    for (entry, depth) in [(19, 12_u16), (31, 10)] {
        let depth_at = encoded.places[entry].0 + 14;
        put(&mut encoded, depth_at, &depth.to_le_bytes());
    }
    // Count 0, the block depth stays; the link to the next free block lies over the first frame.
    for (entry, next) in [(24, 0), (48, encoded.places[24].0)] {
        let place = encoded.places[entry].0;
        let kept = encoded.lower[(place - BASE) as usize + 9] & 0xf8;
        put(&mut encoded, place + 8, &[0, kept]);
        put(&mut encoded, place + 16, &next.to_le_bytes());
    }
    encoded
}

fn pointer_variables() -> ProcessImage {
    image(&encode(DatabaseShape::SEVEN_X64, 20))
        .pointer_variable(0, BASE)
        .pointer_variable(1, BASE + PAGE_BYTES)
        .pointer_variable(2, MODULE)
        .pointer_variable(3, 0xffff_fff0)
}

/// The 32-bit database of a WOW64 process beside the 64-bit one.
fn two_widths() -> ProcessImage {
    let narrow_base = BASE + 2 * RESERVED_BYTES;
    let narrow = TraceDatabase { base: Va(narrow_base), ..database(DatabaseShape::SEVEN_X86, 30) };
    let narrow = narrow.encode().expect("the database fits its reservation");
    image(&encode(DatabaseShape::SEVEN_X64, 30))
        .allocation(narrow_base, RESERVED_BYTES)
        .memory(narrow_base, &narrow.lower)
        .memory(narrow_base + RESERVED_BYTES - narrow.upper.len() as u64, &narrow.upper)
}

fn damaged_databases() -> Vec<(&'static str, Vec<u8>)> {
    let healthy = encode(DatabaseShape::SEVEN_X64, ENTRY_COUNT);
    // Behind the 48 entries that tell whether this is a database.
    let mut middle = healthy.clone();
    let (from, to) = (middle.places[50].0, middle.places[55].0);
    put(&mut middle, from, &vec![0xcc; (to - from) as usize]);
    let mut circle = healthy.clone();
    let place = circle.places[3].0;
    put(&mut circle, place, &place.to_le_bytes());
    let longer = encode(DatabaseShape::SEVEN_X64, 150);
    let (before, rest) = longer.lower.split_at(PAGE_BYTES as usize);
    let gap = ProcessImage::default()
        .allocation(BASE, RESERVED_BYTES)
        .module(MODULE, MODULE_BYTES)
        .memory(BASE, before)
        .memory(BASE + 2 * PAGE_BYTES, &rest[PAGE_BYTES as usize..])
        .memory(BASE + RESERVED_BYTES - longer.upper.len() as u64, &longer.upper);
    // All the limits at the end of 16 GB: everything above the entries is a gap.
    let mut limits = healthy.clone();
    for field in [0x90_u64, 0x98, 0xa0, 0xa8, 0xb8] {
        put(&mut limits, BASE + field, &(BASE + (16 << 30)).to_le_bytes());
    }
    let mut counts = healthy.clone();
    put(&mut counts, BASE + 0xb0, &[0xff; 8]);
    put(&mut counts, BASE + 0xc0, &[0xff; 12]);
    // As many buckets as are allowed, over the entries and past them; behind those no entries.
    let mut buckets = healthy.clone();
    put(&mut buckets, BASE + 0x2d0, &(1_u32 << 20).to_le_bytes());
    for (field, megabytes) in [(0x78, 17_u64), (0x90, 17), (0x98, 18), (0xa0, 17), (0xa8, 18), (0xb8, 18)] {
        put(&mut buckets, BASE + field, &(BASE + (megabytes << 20)).to_le_bytes());
    }
    vec![
        ("damaged-middle.bin", image(&middle).to_bytes()),
        ("hash-chain-circle.bin", image(&circle).to_bytes()),
        ("gap.bin", gap.to_bytes()),
        ("lying-limits.bin", image(&limits).to_bytes()),
        ("lying-counts.bin", image(&counts).to_bytes()),
        ("lying-buckets.bin", image(&buckets).to_bytes()),
    ]
}

fn log(width: PointerWidth, is_hash_sum: bool) -> WrittenLog {
    let stacks = (0..RECORD_COUNT).map(|number| stack(number, 3 + number % 9)).collect();
    Log { width, stacks, records_per_zone: 25, is_hash_sum }.write()
}

pub fn log_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let wide = log(PointerWidth::Bits64, true);
    let narrow = log(PointerWidth::Bits32, true);
    let other_hash = log(PointerWidth::Bits64, false);
    let mut damaged = wide.clone();
    let (zone, place) = damaged.places[10];
    damaged.zones[zone].put(place, &[0xcc; 0x180]);
    damaged.header.put(0x200, &[0xcc; 0x20]);
    let mut circle = narrow.clone();
    let (zone, place) = circle.places[4];
    circle.zones[zone].put_u32(place, (zone_start(zone) + place as u64) as u32);
    let mut lying = narrow.clone();
    lying.header.put_u32(4, u32::MAX).put_u32(8, 0xffff_fffc);
    let records_only = |log: &WrittenLog| log.records().module(MODULE, MODULE_BYTES);
    vec![
        ("log-x64.bin", wide.whole().to_bytes()),
        ("log-x86.bin", narrow.whole().to_bytes()),
        ("records-only-x64.bin", records_only(&wide).to_bytes()),
        ("records-only-x86.bin", records_only(&narrow).to_bytes()),
        ("hash-is-no-sum.bin", other_hash.whole().module(MODULE, MODULE_BYTES).to_bytes()),
        ("header-in-first-zone.bin", header_in_first_zone(&narrow).to_bytes()),
        ("pointer-variable.bin", wide.whole().pointer_variable(2, HEADER).pointer_variable(3, HEADER).to_bytes()),
        ("damaged-records.bin", damaged.whole().to_bytes()),
        ("chain-circle.bin", circle.whole().to_bytes()),
        ("lying-header.bin", lying.whole().to_bytes()),
    ]
}

/// Behind the records of the first zone.
fn header_in_first_zone(log: &WrittenLog) -> ProcessImage {
    let mut zone = LeBytes::default();
    zone.push(log.zones[0].as_slice()).push(log.header.as_slice());
    let moved = WrittenLog { zones: vec![zone, log.zones[1].clone()], ..log.clone() };
    moved.records()
}
