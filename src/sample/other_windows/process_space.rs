//! The address space of a planned process: system regions, heaps, images, stack, and the structures that name them.

use super::frame_stack::{frame_stack, x86_context};
use super::heaps::add_heaps;
use super::process_plan::ProcessPlan;
use super::system_images::{FAST_PEB_LOCK, LOADER_DATA, LOADER_LOCK, PROCESS_HEAPS, TLS_BITMAP};
use crate::base::addr::{PointerWidth, Va};
use crate::sample::address_space::winnt::{MEM_RESERVE, PAGE_GUARD, PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE};
use crate::sample::address_space::{AddressSpace, AllocationKind, Run};
use crate::sample::allocfree::figures::filetime;
use crate::sample::allocfree::live_stack::{LiveStack, x64_context, x64_stack};
use crate::sample::error::SampleError;
use crate::sample::heap_image::BuiltHeap;
use crate::sample::le_bytes::LeBytes;
use crate::sample::process_memory::{
    ParameterTexts, PebFields, TebFields, Windows, free_critical_section_of, loader_data_of, peb_of,
    process_parameters_of, teb_of, user_shared_data_of,
};

const PAGE_BYTES: u64 = 0x1000;
pub const STACK_BYTES: u64 = 0x10_0000;
const STACK_COMMITTED_BYTES: u64 = 0x5000;
const USER_SHARED_DATA: Va = Va(0x7ffe_0000);

/// The memory of a dump, and where its thread stands in it.
pub struct PlannedSpace {
    pub space: AddressSpace,
    pub stack: LiveStack,
    pub stack_base: Va,
    pub context: Vec<u8>,
    /// Of the plan's further threads: registers and stack base of each.
    pub more_stacks: Vec<(LiveStack, Va)>,
    /// The truth about the heaps, in the order of the PEB's array.
    pub heaps: Vec<BuiltHeap>,
}

/// Builds everything but the stack trace stores.
pub fn planned_space(plan: &ProcessPlan) -> Result<PlannedSpace, SampleError> {
    let mut space = AddressSpace::default();
    add_system_regions(&mut space, plan);
    let heaps = add_heaps(&mut space, plan)?;
    for (base, size_bytes) in &plan.buffers {
        space.allocate(*base, AllocationKind::PRIVATE, &[Run::committed(*size_bytes, PAGE_READWRITE)]);
    }
    for module in &plan.modules {
        let image = &module.image;
        space.allocate(image.base, AllocationKind::IMAGE, &module.runs());
        for piece in image.pieces()? {
            space.write(Va(image.base.0 + u64::from(piece.rva.0)), piece.bytes);
        }
    }
    let stack_base = Va(plan.places.stack_bottom.0 + STACK_BYTES);
    let (stack, context) = match plan.windows.width() {
        PointerWidth::Bits64 => {
            let stack = x64_stack(&plan.modules, stack_base, &plan.sites);
            let context = x64_context(stack.rip, stack.rsp);
            (stack, context)
        }
        PointerWidth::Bits32 => {
            let built = frame_stack(&plan.modules, stack_base, &plan.sites);
            let context = x86_context(&built);
            (built.stack, context)
        }
    };
    add_stack(&mut space, plan, &stack);
    add_process_structures(&mut space, plan);
    let more_stacks: Vec<_> = plan
        .more_threads
        .iter()
        .map(|thread| {
            let stack_base = Va(thread.stack_bottom.0 + STACK_BYTES);
            let stack = x64_stack(&plan.modules, stack_base, &thread.sites);
            add_stack_at(&mut space, thread.stack_bottom, 3 * PAGE_BYTES, &stack);
            (stack, stack_base)
        })
        .collect();
    Ok(PlannedSpace { space, stack, stack_base, context, more_stacks, heaps })
}

/// Adds one large private region whose bytes are a hole.
pub fn add_extra_region(space: &mut AddressSpace, plan: &ProcessPlan, size_bytes: u64) -> Result<(), SampleError> {
    let size_bytes = size_bytes.next_multiple_of(PAGE_BYTES);
    let free = plan.places.free;
    if size_bytes > free.size_bytes() {
        let what = "the region that makes the dump large".to_owned();
        let available_bytes = free.size_bytes();
        return Err(SampleError::DoesNotFit { what, needed_bytes: size_bytes, available_bytes });
    }
    space.allocate(free.start, AllocationKind::PRIVATE, &[Run::committed(size_bytes, PAGE_READWRITE)]);
    Ok(())
}

fn add_system_regions(space: &mut AddressSpace, plan: &ProcessPlan) {
    let places = &plan.places;
    let read_only = |size_bytes| Run::committed(size_bytes, PAGE_READONLY);
    let mapped = AllocationKind::MAPPED_READ_ONLY;
    space.allocate(places.activation_context, mapped, &[read_only(0x4000)]);
    space.write(places.activation_context, *b"Actx \0\0\0\x01\0\0\0");
    if let Some(api_set_map) = places.api_set_map {
        space.allocate(api_set_map, mapped, &[read_only(0x1000)]);
        // Version 2 with Windows 7, 6 with Windows 10.
        let version = if plan.windows == Windows::TenX64 { 6 } else { 2 };
        space.write(api_set_map, [version, 0, 0, 0]);
    }
    let shared_runs = [read_only(0x7000), Run::reserved(0xf_9000)];
    space.allocate(places.read_only_shared_memory, mapped, &shared_runs);
    space.allocate(places.nls_tables, mapped, &[read_only(0x2_4000)]);
    // The tail of this reservation shows PAGE_NOACCESS, not 0. Windows 10 has a single page.
    let tail_bytes = if plan.windows == Windows::TenX64 { 0 } else { 0xf000 };
    let tail = Run { size_bytes: tail_bytes, state: MEM_RESERVE, protect: PAGE_NOACCESS };
    space.allocate(USER_SHARED_DATA, AllocationKind::PRIVATE_READ_ONLY, &[read_only(0x1000), tail]);
    let now = filetime(plan.dump_unix_seconds, 0);
    // The system has been up for two days.
    space.write(USER_SHARED_DATA, user_shared_data_of(plan.windows, now, 2 * 86_400 * 10_000_000));
}

/// Reserve, guard pages, committed pages up to the base.
fn add_stack(space: &mut AddressSpace, plan: &ProcessPlan, stack: &LiveStack) {
    let guard_bytes = if plan.windows == Windows::XpX86 { PAGE_BYTES } else { 3 * PAGE_BYTES };
    add_stack_at(space, plan.places.stack_bottom, guard_bytes, stack);
}

fn add_stack_at(space: &mut AddressSpace, bottom: Va, guard_bytes: u64, stack: &LiveStack) {
    let runs = [
        Run::reserved(STACK_BYTES - STACK_COMMITTED_BYTES - guard_bytes),
        Run::committed(guard_bytes, PAGE_READWRITE | PAGE_GUARD),
        Run::committed(STACK_COMMITTED_BYTES, PAGE_READWRITE),
    ];
    space.allocate(bottom, AllocationKind::PRIVATE, &runs);
    for (va, bytes) in &stack.memory {
        space.write(*va, bytes.clone());
    }
}

fn add_process_structures(space: &mut AddressSpace, plan: &ProcessPlan) {
    let (windows, places) = (plan.windows, &plan.places);
    let width = windows.width();
    let add = |space: &mut AddressSpace, va: Va, bytes: Vec<u8>| {
        let page_bytes = (bytes.len() as u64).next_multiple_of(PAGE_BYTES);
        space.allocate(va, AllocationKind::PRIVATE, &[Run::committed(page_bytes, PAGE_READWRITE)]);
        space.write(va, bytes);
    };
    add(space, places.parameters, process_parameters_of(windows, places.parameters, &parameter_texts(plan)));
    let loaded: Vec<_> = plan.modules.iter().map(|module| module.loaded(plan.create_filetime)).collect();
    let loader = loader_data_of(windows, plan.in_ntdll(LOADER_DATA), places.loader_entries, &loaded);
    add(space, places.loader_entries, loader.entries);
    space.write(plan.in_ntdll(LOADER_DATA), loader.head);

    let mut heap_array = LeBytes::default();
    for heap in &plan.heaps {
        heap_array.push_pointer(width, heap.base);
    }
    space.write(plan.in_ntdll(PROCESS_HEAPS), heap_array.into_vec());
    for lock in [FAST_PEB_LOCK, LOADER_LOCK] {
        space.write(plan.in_ntdll(lock), free_critical_section_of(windows));
    }
    for (name, value) in &plan.variables {
        let mut bytes = LeBytes::default();
        bytes.push_pointer(width, *value);
        if let Some(va) = plan.modules.iter().find_map(|module| module.image.export_va(name)) {
            space.write(va, bytes.into_vec());
        }
    }
    let [peb, teb] = [peb_of(windows, &peb_fields(plan)), teb_of(windows, &teb_fields(plan))];
    match places.peb_and_teb {
        None => {
            add(space, places.peb, peb);
            add(space, places.teb, teb);
        }
        Some(range) => {
            let teb_bytes = (teb.len() as u64).next_multiple_of(PAGE_BYTES);
            let teb_end = places.teb.0 + teb_bytes * (1 + plan.more_threads.len() as u64);
            let runs = [
                Run::reserved(places.peb.0 - range.start.0),
                Run::committed(teb_end - places.peb.0, PAGE_READWRITE),
                Run::reserved(range.end.0 - teb_end),
            ];
            space.allocate(range.start, AllocationKind::PRIVATE, &runs);
            space.write(places.peb, peb);
            space.write(places.teb, teb);
            for (thread, teb) in plan.more_threads.iter().zip(plan.more_tebs()) {
                let fields = TebFields {
                    teb,
                    thread_id: thread.thread_id,
                    stack_base: Va(thread.stack_bottom.0 + STACK_BYTES),
                    stack_limit: Va(thread.stack_bottom.0 + STACK_BYTES - STACK_COMMITTED_BYTES),
                    deallocation_stack: thread.stack_bottom,
                    ..teb_fields(plan)
                };
                space.write(teb, teb_of(windows, &fields));
            }
        }
    }
}

fn peb_fields(plan: &ProcessPlan) -> PebFields {
    let places = &plan.places;
    PebFields {
        image_base: plan.modules.first().map_or(Va(0), |module| module.image.base),
        loader_data: plan.in_ntdll(LOADER_DATA),
        process_parameters: places.parameters,
        process_heap: plan.heaps.first().map_or(Va(0), |heap| heap.base),
        fast_peb_lock: plan.in_ntdll(FAST_PEB_LOCK),
        loader_lock: plan.in_ntdll(LOADER_LOCK),
        api_set_map: places.api_set_map.unwrap_or_default(),
        tls_bitmap: plan.in_ntdll(TLS_BITMAP),
        read_only_shared_memory: places.read_only_shared_memory,
        read_only_static_server_data: Va(places.read_only_shared_memory.0 + 0x688),
        ansi_code_page: places.nls_tables,
        oem_code_page: Va(places.nls_tables.0 + 0x1_0228),
        unicode_case_table: Va(places.nls_tables.0 + 0x2_0650),
        system_default_activation_context: places.activation_context,
        processor_count: 2,
        nt_global_flag: plan.nt_global_flag,
        heap_count: u32::try_from(plan.heaps.len()).unwrap_or(u32::MAX),
        largest_heap_count: 16,
        process_heaps: plan.in_ntdll(PROCESS_HEAPS),
        build_number: plan.system.build_number,
        service_pack: plan.system.service_pack,
        subsystem: 3,
        affinity_mask: 0x3,
        session_id: u32::from(plan.windows != Windows::XpX86),
    }
}

fn teb_fields(plan: &ProcessPlan) -> TebFields {
    let stack_base = plan.places.stack_bottom.0 + STACK_BYTES;
    TebFields {
        teb: plan.places.teb,
        peb: plan.places.peb,
        process_id: plan.process_id,
        thread_id: plan.thread_id,
        stack_base: Va(stack_base),
        stack_limit: Va(stack_base - STACK_COMMITTED_BYTES),
        deallocation_stack: plan.places.stack_bottom,
    }
}

impl ProcessPlan {
    /// Where the TEBs of the further threads lie: each two pages behind the one before.
    pub fn more_tebs(&self) -> impl Iterator<Item = Va> + '_ {
        let count = self.more_threads.len() as u64;
        (1..=count).map(|number| Va(self.places.teb.0 + number * 2 * PAGE_BYTES))
    }
}

fn parameter_texts(plan: &ProcessPlan) -> ParameterTexts {
    let path = plan.modules.first().map(|module| module.path.clone()).unwrap_or_default();
    let (folder, file_name) = path.rsplit_once('\\').unwrap_or_default();
    let environment = ["NUMBER_OF_PROCESSORS=2", "OS=Windows_NT", "SystemDrive=C:", "SystemRoot=C:\\Windows"];
    ParameterTexts {
        command_line: file_name.to_owned(),
        current_directory: format!("{folder}\\"),
        dll_path: format!(r"{folder};C:\Windows\system32;C:\Windows;."),
        window_title: path.clone(),
        desktop: r"Winsta0\Default".to_owned(),
        environment: environment.map(str::to_owned).to_vec(),
        image_path: path,
    }
}
