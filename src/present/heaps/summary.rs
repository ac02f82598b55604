//! The heaps of a dump as `!heap -s` prints them.
//!
//! Form: listings of WinDbg, 32-bit and 64-bit; those of the case are among them (`the_case_prints_as_windbg_printed_it`).

use crate::analysis::snapshot::Snapshot;
use crate::analysis::snapshot::heaps::DumpHeaps;
use crate::base::addr::PointerWidth;
use crate::process::heap::DecodedHeap;
use crate::process::heap::figures::HeapFigures;
use crate::process::heap::head::HeapKind;
use crate::process::peb::Peb;

use super::super::value::ABSENT_TEXT;
use super::front_end_name;

/// All heaps of one bitness as `!heap -s` prints them: WinDbg shows those of one PEB at a time.
pub fn heap_summary(snapshot: &Snapshot, heaps: &DumpHeaps, width: PointerWidth) -> String {
    let Some(peb) = snapshot.pebs.iter().find(|peb| peb.width == width) else { return String::new() };
    let listed: Vec<(&crate::analysis::snapshot::ProcessHeap, &DecodedHeap)> =
        snapshot.heaps.iter().zip(&heaps.heaps).filter(|(heap, _)| heap.extent.width == width).collect();
    let mut text = flag_lines(peb.nt_global_flag);
    let segment_heaps = segment_table(&listed, width);
    text.push_str(&segment_heaps);
    let is_xp =
        listed.iter().any(|(heap, _)| heap.extent.head.as_ref().is_some_and(|head| head.layout.modern.is_none()));
    if !is_xp {
        text.push_str(&key_lines(heaps, peb, width));
    }
    text.push_str(&head_lines(width));
    for (heap, decoded) in &listed {
        if matches!(heap.extent.kind, HeapKind::Segment) {
            continue;
        }
        match &decoded.figures {
            Some(figures) => text.push_str(&heap_lines(heap.extent.base.0, width, figures)),
            None => {
                let name = super::kind_name(heap.extent.kind);
                text.push_str(&format!("{} {name}\n", address(heap.extent.base.0, width)));
            }
        }
    }
    text.push_str(&dashes(width));
    text
}

/// The debugging aids that heaps are made with: those bits of NtGlobalFlag that concern heaps.
fn flag_lines(flag: u32) -> String {
    const AIDS: [(u32, &str); 8] = [
        (0x10, "tail checking"),
        (0x20, "free checking"),
        (0x40, "validate parameters"),
        (0x80, "validate on call"),
        (0x800, "heap tagging"),
        (0x1000, "stack back traces"),
        (0x8000, "heap tagging by DLL"),
        (0x20_0000, "disable heap coalesce"),
    ];
    let lines: String =
        AIDS.iter().filter(|(bit, _)| flag & bit != 0).map(|(_, text)| format!("    {text}\n")).collect();
    if lines.is_empty() {
        return lines;
    }
    format!("NtGlobalFlag enables following debugging aids for new heaps:\n{lines}")
}

fn key_lines(heaps: &DumpHeaps, peb: &Peb, width: PointerWidth) -> String {
    let key = heaps.lfh_key(width);
    let key = match (width, key.map(|key| (key.full, key.low))) {
        (_, None) => format!("{ABSENT_TEXT} (not known without symbols)"),
        (PointerWidth::Bits32, Some((_, low))) => format!("0x{low:08x}"),
        (PointerWidth::Bits64, Some((Some(full), _))) => format!("0x{full:016x}"),
        (PointerWidth::Bits64, Some((None, low))) => format!("0x????????{low:08x} (its low half; WinDbg prints all)"),
    };
    let termination = match terminates_on_corruption(peb) {
        Some(true) => "ENABLED".to_owned(),
        Some(false) => "DISABLED".to_owned(),
        None => format!("{ABSENT_TEXT} (not known without symbols)"),
    };
    format!("LFH Key                   : {key}\nTermination on corruption : {termination}\n")
}

/// Situation: whether a process ends when a heap is found damaged is a variable of ntdll. Known from a published explanation:
/// 64-bit processes always end, and so do 32-bit programs for subsystem version 6 or later. Handled: older 32-bit programs
/// may have asked for it themselves, so they are not known.
pub fn terminates_on_corruption(peb: &Peb) -> Option<bool> {
    let is_certain = peb.width == PointerWidth::Bits64 || peb.subsystem_major.is_some_and(|major| major >= 6);
    is_certain.then_some(true)
}

fn address(va: u64, width: PointerWidth) -> String {
    match width {
        PointerWidth::Bits32 => format!("{va:08x}"),
        PointerWidth::Bits64 => format!("{va:016x}"),
    }
}

fn dashes(width: PointerWidth) -> String {
    let count = match width {
        PointerWidth::Bits32 => 77,
        PointerWidth::Bits64 => 85,
    };
    format!("{}\n", "-".repeat(count))
}

fn head_lines(width: PointerWidth) -> String {
    // WinDbg's own indents: 64-bit lines stand 9 further to the right.
    let indent = match width {
        PointerWidth::Bits32 => "",
        PointerWidth::Bits64 => "         ",
    };
    format!(
        "{indent}  Heap     Flags   Reserv  Commit  Virt   Free  List   UCR  Virt  Lock  Fast\n\
         {indent}                    (k)     (k)    (k)     (k) length      blocks cont. heap\n{}",
        dashes(width)
    )
}

fn heap_lines(base: u64, width: PointerWidth, figures: &HeapFigures) -> String {
    const KB: u64 = 1024;
    let contention = match (figures.has_lock, figures.lock_contention) {
        (false, _) => "N/A".to_owned(),
        (true, Some(count)) => format!("{count:x}"),
        (true, None) => ABSENT_TEXT.to_owned(),
    };
    let length = figures.free_list_length.map_or_else(|| ABSENT_TEXT.to_owned(), |length| length.to_string());
    let mut text = format!(
        "{} {:08x} {:7} {:6} {:6} {:6} {:>5} {:5} {:4} {:>6}   {}",
        address(base, width),
        figures.flags,
        figures.reserved_bytes / KB,
        figures.committed_bytes / KB,
        figures.virtual_bytes / KB,
        figures.free_bytes / KB,
        length,
        figures.ucr_count,
        figures.virtual_block_count,
        contention,
        front_end_name(figures.front_end),
    );
    text.truncate(text.trim_end().len());
    text.push('\n');
    if let Some(found) = figures.external_fragmentation() {
        text.push_str(&format!("    External fragmentation  {} % ({} free blocks)\n", found.percent, found.count));
    }
    if let Some(found) = figures.virtual_fragmentation() {
        // WinDbg spells it so.
        text.push_str(&format!(
            "    Virtual address fragmentation  {} % ({} uncommited ranges)\n",
            found.percent, found.count
        ));
    }
    text
}

/// Segment heaps come first, in a table of their own.
fn segment_table(listed: &[(&crate::analysis::snapshot::ProcessHeap, &DecodedHeap)], width: PointerWidth) -> String {
    let rows: Vec<String> = listed
        .iter()
        .filter(|(heap, _)| heap.extent.kind == HeapKind::Segment)
        .map(|(heap, decoded)| {
            let base = address(heap.extent.base.0, width);
            match &decoded.segment_heap {
                Some((figures, _)) => format!(
                    "{base}  ddeeddee  {:08x}  {:>12}  {:>14}  {:>15}\n",
                    figures.global_flags,
                    figures.list_index,
                    figures.reserved_bytes / 1024,
                    figures.committed_bytes / 1024
                ),
                None => format!("{base}  ddeeddee  its layout is not known\n"),
            }
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let pad = " ".repeat(if width == PointerWidth::Bits64 { 9 } else { 1 });
    format!(
        "{pad}Heap   Signature    Global  Process Heap  Total Reserved  Total Committed\n\
         {pad}Address             Flags    List Index       Bytes (K)        Bytes (K)\n{}\
         {}\n NT HEAP STATS BELOW\n{}\n",
        rows.concat(),
        "*".repeat(120),
        "*".repeat(120)
    )
}
