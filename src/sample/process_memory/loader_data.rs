//! PEB_LDR_DATA and its LDR_DATA_TABLE_ENTRYs: the three module lists that the loader keeps.

use crate::base::addr::Va;
use crate::base::printable::file_name;
use crate::sample::le_bytes::{LeBytes, utf16_bytes};

/// sizeof(LDR_DATA_TABLE_ENTRY), Windows 7 x64, and the distance of the entries that are written here.
const ENTRY_BYTES: usize = 0xe0;
const ENTRY_STRIDE_BYTES: u64 = 0x100;

/// Where in the entry the links of each list lie, and where in PEB_LDR_DATA its head.
const LOAD_ORDER: ListPlaces = ListPlaces { in_entry: 0, in_head: 0x10 };
const MEMORY_ORDER: ListPlaces = ListPlaces { in_entry: 0x10, in_head: 0x20 };
const INIT_ORDER: ListPlaces = ListPlaces { in_entry: 0x20, in_head: 0x30 };

#[derive(Clone, Copy)]
struct ListPlaces {
    in_entry: u64,
    in_head: u64,
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

/// Builds the lists with the head at `head_va` and the entries from `entries_va` on.
pub fn loader_data(head_va: Va, entries_va: Va, modules: &[LoadedModule]) -> LoaderData {
    let entry_va = |index: usize| Va(entries_va.0 + index as u64 * ENTRY_STRIDE_BYTES);
    let mut head = LeBytes::zeroed(0x58);
    head.put_u32(0, 0x58).put_u8(4, 1);
    let mut entries = LeBytes::zeroed(modules.len() * ENTRY_STRIDE_BYTES as usize);

    for (index, module) in modules.iter().enumerate() {
        let at = index * ENTRY_STRIDE_BYTES as usize;
        put_entry(&mut entries, at, entry_va(index), module);
        let full_name_at = entries.align(8).len();
        let full_name = utf16_bytes(&module.path);
        let base_name_bytes = utf16_bytes(file_name(&module.path)).len();
        entries.push(&full_name).push_u16(0);
        // Both names end together, so the short one is the tail of the long one.
        let base_name_at = full_name_at + full_name.len() - base_name_bytes;
        put_unicode_string(&mut entries, at + 0x48, full_name.len(), Va(entries_va.0 + full_name_at as u64));
        put_unicode_string(&mut entries, at + 0x58, base_name_bytes, Va(entries_va.0 + base_name_at as u64));
    }

    let load_order: Vec<usize> = (0..modules.len()).collect();
    let mut init_order = load_order.clone();
    init_order.retain(|index| modules.get(*index).is_some_and(|module| module.init_position.is_some()));
    init_order.sort_by_key(|index| modules.get(*index).and_then(|module| module.init_position));
    for (places, order) in [(LOAD_ORDER, &load_order), (MEMORY_ORDER, &load_order), (INIT_ORDER, &init_order)] {
        let head_link = Va(head_va.0 + places.in_head);
        let link = |position: usize| order.get(position).map(|index| Va(entry_va(*index).0 + places.in_entry));
        let first_and_last =
            (link(0).unwrap_or(head_link), order.len().checked_sub(1).and_then(link).unwrap_or(head_link));
        head.put_list_entry(places.in_head as usize, first_and_last.0, first_and_last.1);
        for (position, index) in order.iter().enumerate() {
            let forward = link(position + 1).unwrap_or(head_link);
            let backward = position.checked_sub(1).and_then(link).unwrap_or(head_link);
            let at = index * ENTRY_STRIDE_BYTES as usize + places.in_entry as usize;
            entries.put_list_entry(at, forward, backward);
        }
    }
    LoaderData { head: head.into_vec(), entries: entries.into_vec() }
}

/// All of an entry but its names and the three lists.
fn put_entry(entries: &mut LeBytes, at: usize, entry_va: Va, module: &LoadedModule) {
    debug_assert!(ENTRY_BYTES as u64 <= ENTRY_STRIDE_BYTES);
    entries.put_va(at + 0x30, module.base).put_va(at + 0x38, module.entry_point).put_u32(at + 0x40, module.size_bytes);
    entries
        .put_u32(at + 0x68, module.flags)
        .put_u16(at + 0x6c, module.load_count)
        .put_u32(at + 0x80, module.time_date_stamp);
    // Lists that nobody else is in point to themselves: hash bucket, forwarders, services, static links.
    for list in [0x70, 0x98, 0xa8, 0xb8] {
        let link = Va(entry_va.0 + list as u64);
        entries.put_list_entry(at + list, link, link);
    }
    entries.put_va(at + 0xd0, module.base).put_u64(at + 0xd8, module.load_filetime);
}

/// UNICODE_STRING: length and capacity in bytes, the capacity with the NUL.
pub(super) fn put_unicode_string(bytes: &mut LeBytes, at: usize, length_bytes: usize, buffer: Va) {
    let length = u16::try_from(length_bytes).unwrap_or(u16::MAX - 1);
    bytes.put_u16(at, length).put_u16(at + 2, length + 2).put_va(at + 8, buffer);
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
        for (places, expect) in [(LOAD_ORDER, vec![0, 1, 2]), (MEMORY_ORDER, vec![0, 1, 2]), (INIT_ORDER, vec![2, 1])] {
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
