//! gflags command lines and the registry values behind them. Sources: the gflags pages of the Windows debugger's documentation;
//! what Windows 10 and 11 make of `/tracedb`: read in a listing of their ntdll (24 to 128 MB on x64, 16 to 128 MB on x86).

use super::script::reg;
use super::{Advice, RegistryFiles, Target};
use crate::base::units::ByteSize;
use crate::process::peb::global_flag;

use super::image_name::ImageName;

const FLAGS_VALUE: &str = "GlobalFlag";
const SIZE_VALUE: &str = "StackTraceDatabaseSizeInMb";
const NEXT_START: &str = "at the next start of the program; a running process keeps its settings";
const PAGE_HEAP: u32 = 0x0200_0000;
/// The most that Windows 10 and 11 take.
const LARGEST_MB: u32 = 128;
/// What the documentation calls the least.
const DOCUMENTED_LEAST_MB: u32 = 8;

/// About instrumentation that is on: switch it off, limit it, or go back to the default.
pub fn instrumentation(target: &Target) -> Vec<Advice> {
    let flags = target.nt_global_flag.unwrap_or(0);
    let Some(image) = target.safe_image() else { return vec![by_hand(target)] };
    let mut advice = Vec::new();
    let has_database = flags & global_flag::UST != 0 || target.database_bytes.is_some() || target.has_heap_log;
    if has_database {
        advice.push(switch(target, &image, global_flag::UST, false));
        advice.push(limit(target, &image));
    }
    if flags & PAGE_HEAP != 0 {
        advice.push(page_heap_switch(target, &image, false));
    }
    advice.push(default_flags(target, &image, flags));
    advice
}

/// About a full database: off where the stacks are not needed, larger where they are.
pub fn database(target: &Target) -> Vec<Advice> {
    let Some(image) = target.safe_image() else { return vec![by_hand(target)] };
    let mut advice = vec![switch(target, &image, global_flag::UST, false)];
    let mb = target.database_bytes.map(|bytes| bytes >> 20);
    if mb.is_some_and(|mb| mb < u64::from(LARGEST_MB)) {
        advice.push(size(target, &image, LARGEST_MB, "give the database more room, where its stacks are needed"));
    }
    advice.push(limit(target, &image));
    advice
}

/// Allocation stacks for the next series.
pub fn switch_on(target: &Target) -> Vec<Advice> {
    let is_on = target.nt_global_flag.is_some_and(|flags| flags & global_flag::UST != 0);
    if is_on {
        return Vec::new();
    }
    let Some(image) = target.safe_image() else { return vec![by_hand(target)] };
    let mut advice = switch(target, &image, global_flag::UST, true);
    advice.remarks.push(
        "set OANOCACHE=1 in the program's environment before its start, else strings of OLE automation (BSTR) are cached and \
         their stacks are those of earlier owners"
            .to_owned(),
    );
    advice.remarks.push("switch it off again afterwards: left on, it is a finding of its own".to_owned());
    vec![advice]
}

/// Page heap stops the program where a block is damaged.
pub fn page_heap(target: &Target) -> Vec<Advice> {
    match target.safe_image() {
        Some(image) => vec![page_heap_switch(target, &image, true)],
        None => vec![by_hand(target)],
    }
}

/// One flag on or off, the others of the dump kept.
fn switch(target: &Target, image: &ImageName, flag: u32, is_on: bool) -> Advice {
    let name = global_flag::names(flag).concat();
    let line = |is_on: bool| format!("gflags /i {} {}{name}", image.quoted(), if is_on { '+' } else { '-' });
    let word = if is_on { "on" } else { "off" };
    let before = target.nt_global_flag.unwrap_or(if is_on { 0 } else { flag });
    let after = if is_on { before | flag } else { before & !flag };
    Advice {
        what: format!("switch the user mode stack trace database {word} for {}", image.as_str()),
        commands: vec![line(is_on)],
        undo: vec![line(!is_on)],
        takes_effect: NEXT_START.to_owned(),
        remarks: remarks(target),
        registry: Some(registry(target, image, FLAGS_VALUE, nonzero(after), nonzero(before))),
        needs_administrator: true,
    }
}

const fn nonzero(value: u32) -> Option<u32> {
    if value == 0 { None } else { Some(value) }
}

fn limit(target: &Target, image: &ImageName) -> Advice {
    let least_mb = match (target.is_windows_10(), target.is_32_bit) {
        (true, true) => 16,
        (true, false) => 24,
        (false, _) => DOCUMENTED_LEAST_MB,
    };
    size(target, image, least_mb, "keep the database and limit its size")
}

/// A size for the database, with what this Windows makes of it.
fn size(target: &Target, image: &ImageName, mb: u32, what: &str) -> Advice {
    let line = |mb: u32| format!("gflags /i {} /tracedb {mb}", image.quoted());
    let mut remarks = Vec::new();
    if let Some(bytes) = target.database_bytes {
        let same = u64::from(mb) << 20 == bytes;
        let effect = if same { ", which is this size already: it changes nothing for this program" } else { "" };
        remarks.push(format!(
            "the dump proves the size in effect: {} reserved (EntryIndexArray - CommitBase){effect}",
            ByteSize(bytes)
        ));
    }
    remarks.push(match (target.is_windows_10(), target.is_32_bit) {
        (true, false) => {
            "Windows 10 and 11 raise less than 24 MB to 24 in a 64-bit program, and cut more than 128 to 128; \
                          so -ust is what saves memory"
                .to_owned()
        }
        (true, true) => {
            "Windows 10 and 11 raise less than 16 MB to 16 in a 32-bit program, and cut more than 128 to 128; \
                         so -ust is what saves memory"
                .to_owned()
        }
        (false, _) => {
            "the documentation disagrees about sizes (8, 32 and 64 MB are named), and what this Windows takes is not \
                       confirmed: read the size in effect from the next dump"
                .to_owned()
        }
    });
    if target.has_heap_log {
        remarks.push(
            "the heap trace log, where heap allocations are logged in this dump, has no limit that /tracedb is known to set: \
             switch the database off instead"
                .to_owned(),
        );
    }
    remarks.extend(wow64_remark(target));
    Advice {
        what: format!("{what}: {mb} MB for {}", image.as_str()),
        commands: vec![line(mb)],
        undo: vec![line(0)],
        takes_effect: NEXT_START.to_owned(),
        remarks,
        registry: Some(registry(target, image, SIZE_VALUE, Some(mb), None)),
        needs_administrator: true,
    }
}

/// All flags of the image gone.
fn default_flags(target: &Target, image: &ImageName, flags: u32) -> Advice {
    let names: String = global_flag::names(flags).iter().map(|name| format!(" +{name}")).collect();
    let undo = if names.is_empty() { Vec::new() } else { vec![format!("gflags /i {}{names}", image.quoted())] };
    Advice {
        what: format!("back to the default: no flags for {}", image.as_str()),
        commands: vec![format!("gflags /i {} -FFFFFFFF", image.quoted())],
        undo,
        takes_effect: NEXT_START.to_owned(),
        remarks: remarks(target),
        registry: Some(registry(target, image, FLAGS_VALUE, None, nonzero(flags))),
        needs_administrator: true,
    }
}

fn page_heap_switch(target: &Target, image: &ImageName, is_on: bool) -> Advice {
    let line = |is_on: bool| {
        let image = image.quoted();
        if is_on { format!("gflags /p /enable {image} /full") } else { format!("gflags /p /disable {image}") }
    };
    let mut remarks: Vec<String> = wow64_remark(target).into_iter().collect();
    remarks.push("page heap gives each block pages of its own: memory use rises many times over".to_owned());
    Advice {
        what: format!("switch page heap {} for {}", if is_on { "on" } else { "off" }, image.as_str()),
        commands: vec![line(is_on)],
        undo: vec![line(!is_on)],
        takes_effect: NEXT_START.to_owned(),
        remarks,
        registry: None,
        needs_administrator: true,
    }
}

fn remarks(target: &Target) -> Vec<String> {
    let mut remarks = Vec::new();
    let others = target.nt_global_flag.unwrap_or(0) & !global_flag::UST;
    if others != 0 {
        remarks.push(format!(
            "the dump shows other flags too, which stay as they are: {}",
            global_flag::descriptions(others).join("; ")
        ));
    }
    remarks.push(
        "the dump shows the flags of all sources together; where the system has them for all programs, gflags /r shows and \
         changes that"
            .to_owned(),
    );
    remarks.push(
        "gflags also keeps the image's name in the value USTEnabled; what that does is not confirmed, and the registry file \
         leaves it alone"
            .to_owned(),
    );
    remarks.extend(wow64_remark(target));
    remarks
}

fn wow64_remark(target: &Target) -> Option<String> {
    target.is_wow64.then(|| {
        "a 32-bit program on 64-bit Windows: gflags is said to write both registry views, and which one the program reads is not \
         confirmed, so the registry file sets both"
            .to_owned()
    })
}

fn registry(target: &Target, image: &ImageName, value: &str, apply: Option<u32>, undo: Option<u32>) -> RegistryFiles {
    const OPTIONS: &str = r"Microsoft\Windows NT\CurrentVersion\Image File Execution Options";
    let mut keys = vec![format!(r"HKEY_LOCAL_MACHINE\SOFTWARE\{OPTIONS}\{}", image.as_str())];
    if target.is_wow64 {
        keys.push(format!(r"HKEY_LOCAL_MACHINE\SOFTWARE\Wow6432Node\{OPTIONS}\{}", image.as_str()));
    }
    RegistryFiles { apply: reg(&keys, &[(value, apply)]), undo: reg(&keys, &[(value, undo)]) }
}

/// For a name that must not stand in a command.
fn by_hand(target: &Target) -> Advice {
    let why = if target.image.is_some() {
        "the program's name holds signs that a command line would interpret, so no command is given: choose the image in gflags' \
         own window (Image File tab)"
    } else {
        "the dumps do not name the program: choose its image in gflags' own window (Image File tab)"
    };
    Advice {
        what: format!("change the settings of {} by hand", target.name()),
        commands: Vec::new(),
        undo: Vec::new(),
        takes_effect: NEXT_START.to_owned(),
        remarks: vec![why.to_owned()],
        registry: None,
        needs_administrator: true,
    }
}
