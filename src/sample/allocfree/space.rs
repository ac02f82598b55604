//! The address space of one dump: every region of the process, and the bytes in them.

use super::figures::{DATABASE_BUCKETS, DATABASE_BYTES, MAIN_HEAP_BYTES, Moment, ProcessRun, STACK_BYTES, filetime};
use super::heaps::{add_heaps, heap_bases};
use super::live_stack::{LiveStack, live_stack};
use super::logged_stacks;
use super::modules::{
    NTDLL_FAST_PEB_LOCK, NTDLL_LOADER_DATA, NTDLL_LOADER_LOCK, NTDLL_PROCESS_HEAPS, NTDLL_TLS_BITMAP, ProcessModule,
};
use super::process_texts::parameter_texts;
use crate::base::addr::{Rva, Va};
use crate::sample::address_space::winnt::{PAGE_GUARD, PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE};
use crate::sample::address_space::{AddressSpace, AllocationKind, Run, winnt};
use crate::sample::error::SampleError;
use crate::sample::process_memory::{
    PebFields, TebFields, free_critical_section, loader_data, peb, process_parameters, teb, user_shared_data,
};
use crate::sample::trace_database::{DatabaseShape, TraceDatabase};

/// One past the highest address that a 64-bit process of Windows 7 can have.
pub const USER_SPACE_TOP: Va = Va(0x7ff_ffff_0000);
pub const PEB: Va = Va(0x7ff_fffd_7000);
pub const TEB: Va = Va(0x7ff_fffd_d000);
/// Where the extra region of an enlarged dump begins: free in this process up to the system modules.
const EXTRA_REGION: Va = Va(0x1_8000_0000);

const ACTIVATION_CONTEXT: Va = Va(0x3_0000);
const API_SET_MAP: Va = Va(0x4_0000);
const BUFFER_DISTANCE: u64 = 0x7_0000;
const READ_ONLY_SHARED_MEMORY: Va = Va(0x7efe_0000);
const USER_SHARED_DATA: Va = Va(0x7ffe_0000);
const NLS_TABLES: Va = Va(0x7ff_fffb_0000);
const PAGE_BYTES: u64 = 0x1000;

/// The memory of a dump, and where its thread stands in it.
pub struct DumpedSpace {
    pub space: AddressSpace,
    pub stack: LiveStack,
    pub stack_limit: Va,
}

/// Builds the address space of `run` at `moment`.
pub fn dumped_space(run: &ProcessRun, moment: &Moment, modules: &[ProcessModule]) -> Result<DumpedSpace, SampleError> {
    let mut space = AddressSpace::default();
    add_system_regions(&mut space, moment);
    add_heaps(&mut space, run, moment)?;
    add_database(&mut space, run, moment, modules)?;
    add_images(&mut space, modules)?;
    add_process_structures(&mut space, run, modules);

    let stack_base = Va(run.stack_bottom.0 + STACK_BYTES);
    let stack_limit = add_stack(&mut space, run, moment);
    let stack = live_stack(modules, stack_base, moment.first_call_depth);
    for (va, bytes) in &stack.memory {
        space.write(*va, bytes.clone());
    }
    let fields = TebFields {
        teb: TEB,
        peb: PEB,
        process_id: run.process_id,
        thread_id: run.thread_id,
        stack_base,
        stack_limit,
        deallocation_stack: run.stack_bottom,
    };
    space.allocate(TEB, AllocationKind::PRIVATE, &[Run::committed(2 * PAGE_BYTES, PAGE_READWRITE)]);
    space.write(TEB, teb(&fields));

    if moment.buffer_bytes > 0 {
        let runs =
            [Run::committed(moment.buffer_bytes, PAGE_READWRITE), Run::reserved(0x10_0000 - moment.buffer_bytes)];
        space.allocate(
            Va(run.locale_file.0.max(run.main_heap.0 + MAIN_HEAP_BYTES) + BUFFER_DISTANCE),
            AllocationKind::PRIVATE,
            &runs,
        );
    }
    Ok(DumpedSpace { space, stack, stack_limit })
}

/// Adds one large private region whose bytes are a hole.
pub fn add_extra_region(space: &mut AddressSpace, size_bytes: u64) {
    let size_bytes = size_bytes.next_multiple_of(PAGE_BYTES);
    space.allocate(EXTRA_REGION, AllocationKind::PRIVATE, &[Run::committed(size_bytes, PAGE_READWRITE)]);
}

/// What every process of this Windows has, at the addresses and with the sizes of a real dump.
fn add_system_regions(space: &mut AddressSpace, moment: &Moment) {
    let read_only = |size_bytes| Run::committed(size_bytes, PAGE_READONLY);
    space.allocate(ACTIVATION_CONTEXT, AllocationKind::MAPPED_READ_ONLY, &[read_only(0x4000)]);
    space.write(ACTIVATION_CONTEXT, *b"Actx \0\0\0\x01\0\0\0");
    space.allocate(API_SET_MAP, AllocationKind::IMAGE, &[read_only(0x1000)]);
    // The map of Windows 7: version 2, then the number of entries.
    space.write(API_SET_MAP, [2, 0, 0, 0, 0x23, 0, 0, 0]);
    space.allocate(
        READ_ONLY_SHARED_MEMORY,
        AllocationKind::MAPPED_READ_ONLY,
        &[read_only(0x5000), Run::reserved(0xf_b000)],
    );
    space.allocate(Va(0x7f0e_0000), AllocationKind::PRIVATE_READ_ONLY, &[Run::reserved(0xf0_0000)]);
    // The tail of these two reservations shows PAGE_NOACCESS, not 0, in a real dump.
    let no_access = |size_bytes| Run { size_bytes, state: winnt::MEM_RESERVE, protect: PAGE_NOACCESS };
    space.allocate(USER_SHARED_DATA, AllocationKind::PRIVATE_READ_ONLY, &[read_only(0x1000), no_access(0xf000)]);
    let now = filetime(moment.dump_unix_seconds, 0);
    // The system has been up for a week.
    space.write(USER_SHARED_DATA, user_shared_data(now, 7 * 86_400 * 10_000_000));
    space.allocate(NLS_TABLES, AllocationKind::MAPPED_READ_ONLY, &[read_only(0x2_3000)]);
    space.allocate(Va(0x7ff_fffe_0000), AllocationKind::PRIVATE_READ_ONLY, &[no_access(0x1_0000)]);
}

/// The stack trace database with the entries of this moment.
fn add_database(
    space: &mut AddressSpace,
    run: &ProcessRun,
    moment: &Moment,
    modules: &[ProcessModule],
) -> Result<(), SampleError> {
    let entries = logged_stacks::entries(moment);
    let failure_count = logged_stacks::failure_count(moment);
    let lookup_count = entries.iter().map(|entry| u64::from(entry.use_count)).sum::<u64>() + failure_count;
    let database = TraceDatabase {
        base: run.database,
        reserved_bytes: DATABASE_BYTES,
        shape: DatabaseShape::SEVEN_X64,
        bucket_count: DATABASE_BUCKETS,
        stacks: logged_stacks::logged_stacks(modules),
        entries,
        lookup_count: u32::try_from(lookup_count).unwrap_or(u32::MAX),
        failure_count: u32::try_from(failure_count).unwrap_or(u32::MAX),
    };
    database.add_to(space)
}

fn add_images(space: &mut AddressSpace, modules: &[ProcessModule]) -> Result<(), SampleError> {
    for module in modules {
        let image = &module.image;
        space.allocate(image.base, AllocationKind::IMAGE, &module.runs());
        for piece in image.pieces()? {
            space.write(Va(image.base.0 + u64::from(piece.rva.0)), piece.bytes);
        }
    }
    Ok(())
}

/// Reserve, three guard pages, committed pages up to the base. Returns the stack limit.
fn add_stack(space: &mut AddressSpace, run: &ProcessRun, moment: &Moment) -> Va {
    let committed_bytes = moment.stack_committed_pages * PAGE_BYTES;
    let guard_bytes = 3 * PAGE_BYTES;
    let runs = [
        Run::reserved(STACK_BYTES - committed_bytes - guard_bytes),
        Run::committed(guard_bytes, PAGE_READWRITE | PAGE_GUARD),
        Run::committed(committed_bytes, PAGE_READWRITE),
    ];
    space.allocate(run.stack_bottom, AllocationKind::PRIVATE, &runs);
    Va(run.stack_bottom.0 + STACK_BYTES - committed_bytes)
}

/// PEB, parameters, loader data, and the variables of ntdll that debuggers read.
fn add_process_structures(space: &mut AddressSpace, run: &ProcessRun, modules: &[ProcessModule]) {
    let base_of = |name: &str| modules.iter().find(|m| m.image.file_name == name).map_or(Va(0), |m| m.image.base);
    let ntdll = base_of("ntdll.dll");
    let in_ntdll = |rva: Rva| Va(ntdll.0 + u64::from(rva.0));

    space.allocate(run.locale_file, AllocationKind::MAPPED_READ_ONLY, &[Run::committed(0x6_7000, PAGE_READONLY)]);
    let parameters = process_parameters(run.parameters, &parameter_texts());
    let parameter_pages = (parameters.len() as u64).next_multiple_of(PAGE_BYTES);
    space.allocate(run.parameters, AllocationKind::PRIVATE, &[Run::committed(parameter_pages, PAGE_READWRITE)]);
    space.write(run.parameters, parameters);

    let loaded: Vec<_> = modules.iter().map(|module| module.loaded(run.create_filetime)).collect();
    let loader = loader_data(in_ntdll(NTDLL_LOADER_DATA), run.loader_entries, &loaded);
    let loader_pages = (loader.entries.len() as u64).next_multiple_of(PAGE_BYTES);
    space.allocate(run.loader_entries, AllocationKind::PRIVATE, &[Run::committed(loader_pages, PAGE_READWRITE)]);
    space.write(run.loader_entries, loader.entries);
    space.write(in_ntdll(NTDLL_LOADER_DATA), loader.head);

    let heap_array: Vec<u8> = heap_bases(run).iter().flat_map(|base| base.0.to_le_bytes()).collect();
    space.write(in_ntdll(NTDLL_PROCESS_HEAPS), heap_array);
    for lock in [NTDLL_FAST_PEB_LOCK, NTDLL_LOADER_LOCK] {
        space.write(in_ntdll(lock), free_critical_section());
    }
    let variables = [
        ("RtlpStackTraceDatabase", run.database.0),
        ("RtlpLFHKey", run.lfh_key),
        ("RtlpDisableBreakOnFailureCookie", 0),
    ];
    for (name, value) in variables {
        if let Some(va) = modules.iter().find_map(|module| module.image.export_va(name)) {
            space.write(va, value.to_le_bytes());
        }
    }

    let fields = PebFields {
        image_base: base_of("AllocFree.exe"),
        loader_data: in_ntdll(NTDLL_LOADER_DATA),
        process_parameters: run.parameters,
        process_heap: run.main_heap,
        fast_peb_lock: in_ntdll(NTDLL_FAST_PEB_LOCK),
        loader_lock: in_ntdll(NTDLL_LOADER_LOCK),
        api_set_map: API_SET_MAP,
        tls_bitmap: in_ntdll(NTDLL_TLS_BITMAP),
        read_only_shared_memory: READ_ONLY_SHARED_MEMORY,
        read_only_static_server_data: Va(READ_ONLY_SHARED_MEMORY.0 + 0xa90),
        ansi_code_page: NLS_TABLES,
        oem_code_page: Va(NLS_TABLES.0 + 0x1_0228),
        unicode_case_table: Va(NLS_TABLES.0 + 0x2_0650),
        system_default_activation_context: ACTIVATION_CONTEXT,
        processor_count: 4,
        // FLG_USER_STACK_TRACE_DB.
        nt_global_flag: 0x1000,
        heap_count: 3,
        largest_heap_count: 16,
        process_heaps: in_ntdll(NTDLL_PROCESS_HEAPS),
        build_number: 7601,
        service_pack: 1,
        subsystem: 3,
        affinity_mask: 0xf,
        session_id: 1,
    };
    space.allocate(PEB, AllocationKind::PRIVATE, &[Run::committed(PAGE_BYTES, PAGE_READWRITE)]);
    space.write(PEB, peb(&fields));
}
