//! PEB_LDR_DATA and its LDR_DATA_TABLE_ENTRYs: the three module lists that the loader keeps.

use super::windows::Windows;
use crate::base::addr::{PointerWidth, Va};
use crate::base::printable::file_name;
use crate::sample::le_bytes::{LeBytes, utf16_bytes};

/// The distance of the entries that are written here; the largest, of Windows 10, takes 0x120 bytes.
const ENTRY_STRIDE_BYTES: u64 = 0x140;

/// Where in the entry the links of a list lie, and where in PEB_LDR_DATA its head.
#[derive(Clone, Copy)]
struct ListPlaces {
    in_entry: u64,
    in_head: u64,
}

/// The lists in load order, in memory order and in order of initialisation.
fn lists(width: PointerWidth) -> [ListPlaces; 3] {
    let list = |in_entry, in_head| ListPlaces { in_entry, in_head };
    match width {
        PointerWidth::Bits32 => [list(0, 0xc), list(8, 0x14), list(0x10, 0x1c)],
        PointerWidth::Bits64 => [list(0, 0x10), list(0x10, 0x20), list(0x20, 0x30)],
    }
}

/// One module as the loader knows it, in load order.
#[derive(Clone, Debug, Default)]
pub struct LoadedModule {
    pub base: Va,
    pub entry_point: Va,
    pub size_bytes: u32,
    pub path: String,
    pub flags: u32,
    pub load_count: u16,
    pub time_date_stamp: u32,
    /// When the module was initialised; the program itself is in no such list.
    pub init_position: Option<usize>,
    pub load_filetime: u64,
}

/// The bytes of the head and those of all entries with their names.
#[derive(Clone, Debug)]
pub struct LoaderData {
    pub head: Vec<u8>,
    pub entries: Vec<u8>,
}

/// [`loader_data_of`] Windows 7 x64.
pub fn loader_data(head_va: Va, entries_va: Va, modules: &[LoadedModule]) -> LoaderData {
    loader_data_of(Windows::SevenX64, head_va, entries_va, modules)
}

/// Builds the lists with the head at `head_va` and the entries from `entries_va` on.
pub fn loader_data_of(windows: Windows, head_va: Va, entries_va: Va, modules: &[LoadedModule]) -> LoaderData {
    let width = windows.width();
    let entry_va = |index: usize| Va(entries_va.0 + index as u64 * ENTRY_STRIDE_BYTES);
    let head_bytes: u32 = match windows {
        Windows::XpX86 => 0x28,
        Windows::SevenX86 => 0x30,
        Windows::SevenX64 | Windows::TenX64 => 0x58,
    };
    let mut head = LeBytes::zeroed(head_bytes as usize);
    head.put_u32(0, head_bytes).put_u8(4, 1);
    let mut entries = LeBytes::zeroed(modules.len() * ENTRY_STRIDE_BYTES as usize);

    for (index, module) in modules.iter().enumerate() {
        let at = index * ENTRY_STRIDE_BYTES as usize;
        put_entry(windows, &mut entries, at, entry_va(index), module);
        let full_name_at = entries.align(8).len();
        let full_name = utf16_bytes(&module.path);
        let base_name_bytes = utf16_bytes(file_name(&module.path)).len();
        entries.push(&full_name).push_u16(0);
        // Both names end together, so the short one is the tail of the long one.
        let base_name_at = full_name_at + full_name.len() - base_name_bytes;
        let [full_name_va, base_name_va] = [full_name_at, base_name_at].map(|at| Va(entries_va.0 + at as u64));
        put_unicode_string(&mut entries, width, at + windows.at(0x24, 0x48), full_name.len(), full_name_va);
        put_unicode_string(&mut entries, width, at + windows.at(0x2c, 0x58), base_name_bytes, base_name_va);
    }

    let load_order: Vec<usize> = (0..modules.len()).collect();
    let mut init_order = load_order.clone();
    init_order.retain(|index| modules.get(*index).is_some_and(|module| module.init_position.is_some()));
    init_order.sort_by_key(|index| modules.get(*index).and_then(|module| module.init_position));
    for (places, order) in lists(width).into_iter().zip([&load_order, &load_order, &init_order]) {
        let head_link = Va(head_va.0 + places.in_head);
        let link = |position: usize| order.get(position).map(|index| Va(entry_va(*index).0 + places.in_entry));
        let first_and_last =
            (link(0).unwrap_or(head_link), order.len().checked_sub(1).and_then(link).unwrap_or(head_link));
        put_links(&mut head, width, places.in_head as usize, first_and_last.0, first_and_last.1);
        for (position, index) in order.iter().enumerate() {
            let forward = link(position + 1).unwrap_or(head_link);
            let backward = position.checked_sub(1).and_then(link).unwrap_or(head_link);
            let at = index * ENTRY_STRIDE_BYTES as usize + places.in_entry as usize;
            put_links(&mut entries, width, at, forward, backward);
        }
    }
    LoaderData { head: head.into_vec(), entries: entries.into_vec() }
}

/// LIST_ENTRY: forward link, then backward link.
fn put_links(bytes: &mut LeBytes, width: PointerWidth, at: usize, forward: Va, backward: Va) {
    let step = if width == PointerWidth::Bits64 { 8 } else { 4 };
    bytes.put_pointer(width, at, forward).put_pointer(width, at + step, backward);
}

/// All of an entry but its names and the three lists.
fn put_entry(windows: Windows, entries: &mut LeBytes, at: usize, entry_va: Va, module: &LoadedModule) {
    let width = windows.width();
    entries.put_pointer(width, at + windows.at(0x18, 0x30), module.base);
    entries.put_pointer(width, at + windows.at(0x1c, 0x38), module.entry_point);
    entries.put_u32(at + windows.at(0x20, 0x40), module.size_bytes).put_u32(at + windows.at(0x34, 0x68), module.flags);
    entries.put_u16(at + windows.at(0x38, 0x6c), module.load_count);
    entries.put_u32(at + windows.at(0x44, 0x80), module.time_date_stamp);
    // Lists that nobody else is in point to themselves: hash bucket, and in Windows 7 forwarders, services, static links.
    let lonely: &[usize] = match windows {
        Windows::XpX86 => &[0x3c],
        Windows::SevenX86 => &[0x3c, 0x50, 0x58, 0x60],
        Windows::SevenX64 => &[0x70, 0x98, 0xa8, 0xb8],
        Windows::TenX64 => &[0x70],
    };
    for list in lonely {
        let link = Va(entry_va.0 + *list as u64);
        put_links(entries, width, at + list, link, link);
    }
    // OriginalBase and LoadTime, since Windows 7.
    let (original_base_at, load_time_at) = match windows {
        Windows::XpX86 => return,
        Windows::SevenX86 => (0x6c, 0x70),
        Windows::SevenX64 => (0xd0, 0xd8),
        Windows::TenX64 => (0xf8, 0x100),
    };
    entries.put_pointer(width, at + original_base_at, module.base).put_u64(at + load_time_at, module.load_filetime);
}

/// UNICODE_STRING: length and capacity in bytes, the capacity with the NUL.
pub(super) fn put_unicode_string(bytes: &mut LeBytes, width: PointerWidth, at: usize, length_bytes: usize, buffer: Va) {
    let length = u16::try_from(length_bytes).unwrap_or(u16::MAX - 1);
    let buffer_at = if width == PointerWidth::Bits64 { 8 } else { 4 };
    bytes.put_u16(at, length).put_u16(at + 2, length + 2).put_pointer(width, at + buffer_at, buffer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::u64_at;

    #[test]
    fn each_list_closes_on_its_head() {
        let module =
            |init_position| LoadedModule { path: r"C:\a.dll".to_owned(), init_position, ..LoadedModule::default() };
        let (head_va, entries_va) = (Va(0x1000), Va(0x5000));
        let data = loader_data(head_va, entries_va, &[module(None), module(Some(1)), module(Some(0))]);
        let orders = [vec![0, 1, 2], vec![0, 1, 2], vec![2, 1]];
        for (places, expect) in lists(PointerWidth::Bits64).into_iter().zip(orders) {
            let mut link = u64_at(&data.head, places.in_head).unwrap();
            let mut seen = Vec::new();
            while link != head_va.0 + places.in_head {
                seen.push((link - entries_va.0) / ENTRY_STRIDE_BYTES);
                link = u64_at(&data.entries, link - entries_va.0).unwrap();
            }
            assert_eq!(seen, expect);
        }
    }
}
