//! On real dumps our readers give the same entries as the minidump crate, wherever the crate reads the stream.

use dumptrend::base::printable::printable;
use dumptrend::input::dump::{self, Dump};
use minidump::{
    Minidump, MinidumpHandleDataStream, MinidumpMemory64List, MinidumpMemoryInfoList, MinidumpMemoryList,
    MinidumpModuleList, MinidumpStream, MinidumpThreadInfoList, MinidumpThreadList, MinidumpThreadNames,
    MinidumpUnloadedModuleList, Module, RawHandleDescriptor,
};

use crate::support::shared::{READABLE_DUMPS, bytes_of, shared_file};

type Crate = Minidump<'static, Vec<u8>>;

/// Compares one list of every real dump: `theirs` gives the crate's entries, `None` where it does not read the stream;
/// `ours` those of our reader. At least one dump must have such a list.
fn check<T: PartialEq + std::fmt::Debug>(theirs: impl Fn(&Crate) -> Option<Vec<T>>, ours: impl Fn(&Dump) -> Vec<T>) {
    let mut compared_count = 0;
    for name in READABLE_DUMPS {
        let Some(path) = shared_file(name) else { return };
        let crate_dump = Minidump::read(bytes_of(&path)).expect("the crate opens it");
        let dump = dump::open(&path).expect("we open it");
        let Some(expect) = theirs(&crate_dump) else { continue };
        let found = ours(&dump);
        assert_eq!(found.len(), expect.len(), "{name}");
        for (index, (found, expect)) in found.iter().zip(&expect).enumerate() {
            assert_eq!(found, expect, "{name}, entry {index}");
        }
        compared_count += 1;
    }
    assert!(compared_count > 0, "no dump has such a list");
}

fn stream<'a, S: MinidumpStream<'a>>(dump: &'a Crate) -> Option<S> {
    dump.get_stream::<S>().ok()
}

#[test]
fn modules_agree() {
    check(
        |theirs| {
            let list: MinidumpModuleList = stream(theirs)?;
            let entries = list.iter().map(|module| {
                let pdb = module.debug_file().map(|name| printable(&name));
                (module.base_address(), module.size(), printable(&module.code_file()), pdb)
            });
            Some(entries.collect())
        },
        |ours| {
            let modules = ours.modules.iter().flatten();
            let entries = modules.map(|module| {
                let pdb = module.pdb.as_ref().map(|pdb| pdb.path.clone());
                (module.base.0, module.size_bytes, module.path.clone().unwrap_or_default(), pdb)
            });
            entries.collect()
        },
    );
}

#[test]
fn unloaded_modules_agree() {
    check(
        |theirs| {
            let list: MinidumpUnloadedModuleList = stream(theirs)?;
            Some(
                list.iter()
                    .map(|module| (module.base_address(), module.size(), printable(&module.code_file())))
                    .collect(),
            )
        },
        |ours| {
            let modules = ours.unloaded_modules.iter().flatten();
            modules.map(|module| (module.base.0, module.size_bytes, module.path.clone().unwrap_or_default())).collect()
        },
    );
}

#[test]
fn threads_agree() {
    check(
        |theirs| {
            let list: MinidumpThreadList<'_> = stream(theirs)?;
            let entries = list.threads.iter().map(|thread| {
                let raw = &thread.raw;
                let context = (u64::from(raw.thread_context.rva), u64::from(raw.thread_context.data_size));
                (raw.thread_id, raw.suspend_count, raw.priority, raw.teb, raw.stack.start_of_memory_range, context)
            });
            Some(entries.collect())
        },
        |ours| {
            let threads = ours.threads.iter().flatten();
            let entries = threads.map(|thread| {
                let context = (thread.context.offset.0, thread.context.size_bytes);
                (thread.tid, thread.suspend_count, thread.priority, thread.teb.0, thread.saved_stack.start.0, context)
            });
            entries.collect()
        },
    );
}

#[test]
fn thread_infos_agree() {
    check(
        |theirs| {
            let list: MinidumpThreadInfoList = stream(theirs)?;
            let entries = list.thread_infos.iter().map(|info| {
                let raw = &info.raw;
                (raw.thread_id, raw.dump_flags, raw.kernel_time * 100, raw.user_time * 100, raw.start_address)
            });
            Some(entries.collect())
        },
        |ours| {
            let infos = ours.thread_infos.iter().flatten();
            let entries =
                infos.map(|info| (info.tid, info.dump_flags, info.kernel_ns, info.user_ns, info.start_address.0));
            entries.collect()
        },
    );
}

#[test]
fn thread_names_agree() {
    check(
        |theirs| {
            let names: MinidumpThreadNames = stream(theirs)?;
            let threads: MinidumpThreadList<'_> = stream(theirs)?;
            let tids: std::collections::BTreeSet<u32> =
                threads.threads.iter().map(|thread| thread.raw.thread_id).collect();
            Some(tids.into_iter().filter_map(|tid| Some((tid, printable(&names.get_name(tid)?)))).collect())
        },
        |ours| ours.thread_names.iter().map(|(tid, name)| (*tid, name.clone())).collect(),
    );
}

#[test]
fn memory_infos_agree() {
    check(
        |theirs| {
            let list: MinidumpMemoryInfoList<'_> = stream(theirs)?;
            let entries = list.iter().map(|info| {
                let raw = &info.raw;
                let numbers = [raw.allocation_protection, raw.state, raw.protection, raw._type];
                (raw.base_address, raw.allocation_base, raw.region_size, numbers)
            });
            Some(entries.collect())
        },
        |ours| {
            let records = ours.memory_info.iter().flatten();
            let entries = records.map(|record| {
                let numbers = [record.allocation_protect, record.state, record.protect, record.memory_type];
                (record.base.0, record.allocation_base.0, record.size_bytes, numbers)
            });
            entries.collect()
        },
    );
}

#[test]
fn handles_agree() {
    check(
        |theirs| {
            let list: MinidumpHandleDataStream = stream(theirs)?;
            let entries = list.iter().map(|handle| {
                let (value, access) = match &handle.raw {
                    RawHandleDescriptor::HandleDescriptor(raw) => (raw.handle, raw.granted_access),
                    RawHandleDescriptor::HandleDescriptor2(raw) => (raw.handle, raw.granted_access),
                };
                (value, access, handle.type_name.clone(), handle.object_name.clone())
            });
            Some(entries.collect())
        },
        |ours| {
            let handles = ours.handles.iter().flatten();
            let entries = handles.map(|handle| {
                (handle.handle, handle.granted_access, handle.type_name.clone(), handle.object_name.clone())
            });
            entries.collect()
        },
    );
}

/// Our ranges are joined where they touch and without overlap, so every byte of theirs must be found in ours.
#[test]
fn memory_agrees() {
    use dumptrend::base::{addr::Va, memory::ReadMemory};
    let mut compared_bytes = 0;
    for name in READABLE_DUMPS {
        let Some(path) = shared_file(name) else { return };
        let theirs = Minidump::read(bytes_of(&path)).expect("the crate opens it");
        let ours = dump::open(&path).expect("we open it").memory;
        let list_64: Option<MinidumpMemory64List<'_>> = stream(&theirs);
        let list_32: Option<MinidumpMemoryList<'_>> = stream(&theirs);
        let ranges_64 = list_64.iter().flat_map(|list| list.iter().map(|range| (range.base_address, range.bytes)));
        let ranges_32 = list_32.iter().flat_map(|list| list.iter().map(|range| (range.base_address, range.bytes)));
        for (start, bytes) in ranges_64.chain(ranges_32).filter(|(_, bytes)| !bytes.is_empty()) {
            let found = ours.bytes_at(Va(start), bytes.len() as u64);
            assert!(found == bytes, "{name}: {start:#x} differs");
            compared_bytes += bytes.len();
        }
    }
    assert!(compared_bytes > 9_000_000);
}
