//! The fields of one entry, by the names that its structure gives them.

use crate::base::addr::PointerWidth;
use crate::base::units::grouped;
use crate::present::process::Fact;
use crate::process::traces::{Entry, StoreKind};

/// The fields as lines; what the kind of store has not is left out.
pub fn entry_facts(entry: &Entry, kind: StoreKind, width: PointerWidth) -> Vec<Fact> {
    let mut facts = vec![
        Fact { name: "address", value: entry.va.windbg(width) },
        Fact { name: "size", value: format!("{:x} (hex)", entry.size_bytes) },
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| Fact { name, value }));
    let count = entry.use_count.map(|count| match (entry.is_free, entry.is_saturated) {
        (true, _) => "0: a free entry, ready for another stack".to_owned(),
        (false, true) => format!("{} (7ff): saturated", grouped(count)),
        (false, false) => grouped(count),
    });
    add("TraceCount", count);
    add("BlockDepth", entry.slot_count.map(|slots| format!("{}: a block for {slots} frames", slots.saturating_sub(1))));
    if kind == StoreKind::Indexed {
        let none = || "none: nobody asked for one".to_owned();
        add("Index", Some(entry.index.map_or_else(none, |index| format!("{index:x} ({})", grouped(index.into())))));
    }
    let depth = entry.frames.len();
    let depth_text = if entry.is_truncated { format!("{depth}: the outer end is cut off") } else { depth.to_string() };
    add("Depth", (!entry.is_free).then_some(depth_text));
    let link = if entry.next_in_bucket.is_null() { "null".to_owned() } else { entry.next_in_bucket.windbg(width) };
    add(if kind == StoreKind::Indexed { "HashChain" } else { "Next" }, Some(link));
    add("hash", (!entry.is_free).then(|| format!("{:08x}", entry.hash)));
    add("bucket", entry.bucket.filter(|_| !entry.is_free).map(|bucket| bucket.to_string()));
    add(
        "hash chain",
        entry.is_chain_right.map(|is_right| {
            if is_right { "leads to an entry of the same bucket" } else { "leads to an entry of another bucket" }
                .to_owned()
        }),
    );
    facts
}
