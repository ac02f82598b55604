//! Facts about the process: image, command line, Windows version, flags. Name and value pairs.

use crate::analysis::snapshot::Snapshot;
use crate::base::units::ByteSize;
use crate::process::peb::global_flag;

/// One line of facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// What a dump says of its process; what it does not say is left out.
pub fn process_facts(snapshot: &Snapshot) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push(Fact { name, value });
        }
    };
    let peb = snapshot.main_peb();
    let parameters = peb.and_then(|peb| peb.parameters.as_ref());
    let misc = snapshot.dump.misc.as_ref();
    add("image", parameters.and_then(|p| p.image_path.clone()).or_else(|| snapshot.identity.image.clone()));
    add("process id", snapshot.identity.pid.map(|pid| format!("{pid} ({pid:x})")));
    add("NtGlobalFlag", peb.map(|peb| global_flag_text(peb.nt_global_flag)));
    add("command line", parameters.and_then(|p| p.command_line.clone()));
    add("current directory", parameters.and_then(|p| p.current_directory.clone()));
    add("window title", parameters.and_then(|p| p.window_title.clone()));
    add("started", snapshot.identity.created.map(|time| format!("{} UTC", time.table_text())));
    add("Windows", snapshot.dump.system.as_ref().map(windows_text));
    add("bitness", Some(bitness_text(snapshot)));
    add("being debugged", peb.filter(|peb| peb.being_debugged).map(|_| "yes: heaps may be in debug mode".to_owned()));
    add("integrity", misc.and_then(|misc| misc.integrity_level).map(integrity_text));
    add("build", misc.and_then(|misc| misc.build_string.clone()));
    add("process heaps", (!snapshot.heaps.is_empty()).then(|| snapshot.heaps.len().to_string()));
    add("private bytes", snapshot.dump.vm_counters.map(|counters| ByteSize(counters.private_bytes).to_string()));
    add(
        "system commit",
        snapshot.dump.system_memory.map(|memory| {
            let bytes = |pages: u64| ByteSize(pages.saturating_mul(u64::from(memory.page_bytes)));
            format!("{} of {}", bytes(memory.committed_pages), bytes(memory.commit_limit_pages))
        }),
    );
    add(
        "exception",
        snapshot
            .dump
            .exception
            .as_ref()
            .map(|e| format!("{:08x} in thread {:x} at {}", e.code, e.tid, e.address.windbg(snapshot.pointer_width()))),
    );
    add(
        "comment",
        (!snapshot.dump.comments.is_empty()).then(|| snapshot.dump.comments.join("\n").trim().replace('\n', " · ")),
    );
    add("memory in the dump", Some(ByteSize(snapshot.dump.memory.size_bytes()).to_string()));
    facts
}

/// The environment of the program, in the order of its block; empty when it is not in the dump.
pub fn environment(snapshot: &Snapshot) -> &[String] {
    let parameters = snapshot.main_peb().and_then(|peb| peb.parameters.as_ref());
    parameters.and_then(|parameters| parameters.environment.as_deref()).unwrap_or_default()
}

fn windows_text(system: &crate::input::dump::system::SystemInfo) -> String {
    let pack = system.service_pack.as_ref().map_or_else(String::new, |pack| format!(" {pack}"));
    format!("{}{pack}, {} processors", system.version_text(), system.processor_count)
}

fn bitness_text(snapshot: &Snapshot) -> String {
    let name = snapshot.dump.system.as_ref().map_or("unknown", |system| system.architecture.name());
    match snapshot.wow64 {
        Some(true) => format!("{name}, 32-bit process (WOW64)"),
        Some(false) => name.to_owned(),
        None => format!("{name}; the dump does not tell whether the process is a WOW64 one"),
    }
}

/// `0x1000: ust - create user mode stack trace database`.
pub fn global_flag_text(value: u32) -> String {
    let names = global_flag::descriptions(value);
    if names.is_empty() { format!("{value:#x}") } else { format!("{value:#x}: {}", names.join("; ")) }
}

fn integrity_text(rid: u32) -> String {
    match rid {
        0x0000 => "untrusted".to_owned(),
        0x1000 => "low".to_owned(),
        0x2000 => "medium".to_owned(),
        0x2100 => "medium plus".to_owned(),
        0x3000 => "high".to_owned(),
        0x4000 => "system".to_owned(),
        other => format!("{other:#x}"),
    }
}
