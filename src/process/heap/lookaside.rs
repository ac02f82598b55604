//! Lookaside lists, the front end of Windows XP and 2003: blocks that were given back and are kept ready by size.
//!
//! Situation: such a block's header says busy, so `!heap` counts it as in use. Known from: public symbols (`_HEAP_LOOKASIDE`,
//! 0x30 bytes on x86, whose SLIST_HEADER comes first; x64 was not seen and is not read). Handled: an element counts only where
//! its list is one of the 128 and it lies in a block of that size; anything else ends its list. Test:
//! `blocks_in_a_lookaside_list_are_free`.

use std::collections::BTreeSet;

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{self, ReadMemory};

use super::entry::EntryRule;
use super::head::{FrontEnd, HeapHead};

const LIST_COUNT: u64 = 128;
const LIST_BYTES: u64 = 0x30;
/// Elements of one list that are followed; Windows keeps up to 256.
const MOST_ELEMENTS: usize = 1024;

/// Entries of the blocks in the lists.
pub(super) fn read_lookaside(memory: &dyn ReadMemory, head: &HeapHead, rule: &EntryRule) -> BTreeSet<Va> {
    let mut entries = BTreeSet::new();
    let is_read = head.front_end == FrontEnd::Lookaside && head.width() == PointerWidth::Bits32;
    let Some(lists) = head.front_end_at.filter(|_| is_read) else { return entries };
    for number in 2..LIST_COUNT {
        let Some(mut at) = number.checked_mul(LIST_BYTES).and_then(|offset| lists.checked_add(offset)) else { break };
        for _ in 0..MOST_ELEMENTS {
            let Some(user) = memory::pointer_at(memory, at, PointerWidth::Bits32).filter(|va| !va.is_null()) else {
                break;
            };
            let Some(entry) = user.0.checked_sub(rule.granule_bytes).map(Va) else { break };
            let fields = memory::slice_at(memory, entry, rule.granule_bytes).and_then(|header| rule.read_at(header));
            let is_one = fields.is_some_and(|fields| {
                fields.is_intact && fields.is_busy() && u64::from(fields.size_granules) == number
            });
            if !is_one || !entries.insert(entry) {
                break;
            }
            at = user;
        }
    }
    entries
}
