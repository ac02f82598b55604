//! Samples of other systems than the case's: Windows 7 x86, Windows 10 x64, Windows XP x86. Each is a short series that grows.
//!
//! - `process_plan`, `process_space`, `process_dump`: any process of such a system, from what differs to the dump.
//! - `heaps`, `frame_stack`, `system_images`: its parts that differ with the width of a pointer.
//! - `seven_x86`: AllocFree again. `tree_reader`: a program with very many stacks, for `ten_x64` and `xp_x86`.
//! - `original`: the case before it was modelled, with many threads, gigabytes of trace log, and a UMDH log with each dump.
//! - `order_server`: a program on Windows 10 whose heap leaks, or whose regions, or that only goes up and down.

mod frame_stack;
mod heaps;
mod order_server;
mod original;
mod process_dump;
mod process_plan;
mod process_space;
mod seven_x86;
mod system_images;
mod ten_x64;
mod tree_reader;
mod xp_x86;

pub use order_server::{FLUCTUATION_MOMENTS, HEAP_LEAK_MOMENTS, REGION_LEAK_MOMENTS, Story};
pub use original::{ORIGINAL_MOMENTS, umdh_log as original_log};
pub use seven_x86::SEVEN_X86_MOMENTS;
pub use ten_x64::TEN_X64_MOMENTS;
pub use xp_x86::XP_X86_MOMENTS;

use super::error::SampleError;
use super::heap_image::BuiltHeap;
use super::minidump_file::MinidumpFile;
use process_plan::ProcessPlan;
use process_space::PlannedSpace;

/// Which series. The sample of Windows 7 x64 is the case itself and not made here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherSystem {
    SevenX86,
    TenX64,
    XpX86,
    OrderServer(Story),
    /// The case before it was modelled.
    Original,
}

/// One dump of a series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OtherMoment {
    pub second_of_day: u32,
    /// Entries of the database, or zones of the heap trace log.
    pub size: u32,
    pub user_ms: u64,
    pub kernel_ms: u64,
}

/// The truth about the heaps of that process, in the order of the PEB's array.
pub fn built_heaps(system: OtherSystem, moment: &OtherMoment) -> Result<Vec<BuiltHeap>, SampleError> {
    process(system, moment).map(|(_, planned)| planned.heaps)
}

fn process(system: OtherSystem, moment: &OtherMoment) -> Result<(ProcessPlan, PlannedSpace), SampleError> {
    match system {
        OtherSystem::SevenX86 => seven_x86::process(moment),
        OtherSystem::TenX64 => ten_x64::process(moment),
        OtherSystem::XpX86 => xp_x86::process(moment),
        OtherSystem::OrderServer(story) => order_server::process(story, moment),
        OtherSystem::Original => original::process(moment),
    }
}

/// The dump of the sample process of `system` at `moment`, at least `size_bytes` large.
pub fn dump(system: OtherSystem, moment: &OtherMoment, size_bytes: Option<u64>) -> Result<MinidumpFile, SampleError> {
    let (plan, mut planned) = process(system, moment)?;
    let file = process_dump::dump_of(&plan, &planned)?;
    let missing_bytes = size_bytes.unwrap_or(0).saturating_sub(file.size_bytes()?);
    if missing_bytes == 0 {
        return Ok(file);
    }
    process_space::add_extra_region(&mut planned.space, &plan, missing_bytes)?;
    process_dump::dump_of(&plan, &planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::Va;
    use crate::sample::address_space::winnt::{MEM_COMMIT, MEM_PRIVATE};

    #[test]
    fn each_dump_can_be_made_and_is_the_same_each_time() {
        let firsts = [
            (OtherSystem::SevenX86, &SEVEN_X86_MOMENTS[0]),
            (OtherSystem::TenX64, &TEN_X64_MOMENTS[0]),
            (OtherSystem::XpX86, &XP_X86_MOMENTS[0]),
            (OtherSystem::OrderServer(Story::HeapLeak), &HEAP_LEAK_MOMENTS[0]),
            (OtherSystem::OrderServer(Story::RegionLeak), &REGION_LEAK_MOMENTS[0]),
            (OtherSystem::OrderServer(Story::Fluctuation), &FLUCTUATION_MOMENTS[0]),
        ];
        for (system, moment) in firsts {
            let [first, second] = [0, 1].map(|_| dump(system, moment, None).unwrap().to_bytes().unwrap());
            assert!(first == second, "{system:?}");
        }
    }

    #[test]
    fn a_32_bit_process_cannot_be_made_larger_than_its_space() {
        let made = |size_bytes| dump(OtherSystem::XpX86, &XP_X86_MOMENTS[0], Some(size_bytes));
        assert_eq!(made(1 << 30).unwrap().size_bytes().unwrap() >> 20, 1 << 10);
        assert!(matches!(made(2 << 30), Err(SampleError::DoesNotFit { .. })));
    }

    #[test]
    fn the_threads_of_all_systems_go_through_named_functions() {
        let moments = (&SEVEN_X86_MOMENTS[0], &TEN_X64_MOMENTS[0], &XP_X86_MOMENTS[0]);
        let processes = [
            seven_x86::process(moments.0).unwrap(),
            ten_x64::process(moments.1).unwrap(),
            xp_x86::process(moments.2).unwrap(),
            order_server::process(Story::HeapLeak, &HEAP_LEAK_MOMENTS[4]).unwrap(),
        ];
        for (plan, planned) in processes {
            for site in &plan.sites {
                let is_known = plan.modules.iter().any(|module| module.image.export_va(&site.function).is_some());
                assert!(is_known, "{:?} has no {}", plan.windows, site.function);
            }
            let top = plan.places.top;
            let infos = planned.space.memory_infos(top).unwrap();
            assert_eq!(infos.last().map(|info| Va(info.base.0 + info.size_bytes)), Some(top));
        }
    }

    #[test]
    fn windows_10_has_one_region_for_each_zone() {
        for moment in &TEN_X64_MOMENTS {
            let (plan, planned) = ten_x64::process(moment).unwrap();
            let infos = planned.space.memory_infos(plan.places.top).unwrap();
            let zones = infos.iter().filter(|info| {
                (info.size_bytes, info.state, info.kind) == (0x1_0000, MEM_COMMIT, MEM_PRIVATE)
                    && info.base == info.allocation_base
            });
            assert_eq!(zones.count(), moment.size as usize);
        }
    }
}
