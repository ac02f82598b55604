//! The process environment block: image, command line, environment, flags, heap list, and the places it points at.
//!
//! A WOW64 process has two, one for each bitness; both are read in the same way with other offsets.

pub mod global_flag;
mod layout;
pub mod parameters;

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};
use crate::base::memory::{self, ReadMemory};
use crate::base::problems::Problems;
use crate::base::word::{self, Word};

pub use layout::named_fields;

use layout::PebLayout;
use parameters::ProcessParameters;

/// The list of process heaps starts with room for 16 and doubles; a process with more than this has corrupt counts.
const MAX_HEAPS: u32 = 65_536;

const FIRST_BUILD_OF_WINDOWS_8: u16 = 9200;

/// What one PEB says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peb {
    pub base: Va,
    pub width: PointerWidth,
    pub being_debugged: bool,
    pub image_base: Va,
    pub nt_global_flag: u32,
    pub processor_count: u32,
    pub os_major: u32,
    pub os_minor: u32,
    pub os_build: u16,
    /// ImageSubsystemMajorVersion; `None` when it is not in the dump.
    pub subsystem_major: Option<u32>,
    pub process_heap: Va,
    /// Addresses of the process heaps, in the order of the list: `!heap` counts them from 1.
    pub heaps: Vec<Va>,
    /// How many there should be; `None` when the dump does not tell.
    pub heap_count: Option<u32>,
    pub parameters: Option<ProcessParameters>,
    /// Memory that the PEB points at, with the name that WinDbg gives it in `!address`.
    #[serde(deserialize_with = "word::deserialize_places")]
    pub pointed_at: Vec<(Va, Word)>,
}

impl Peb {
    /// Whether the addresses of all process heaps are known.
    pub fn has_whole_heap_list(&self) -> bool {
        self.heap_count.is_some_and(|count| count > 0 && usize::try_from(count) == Ok(self.heaps.len()))
    }
}

/// Reads the PEB at `base`. `None` when its first page is not in the dump; what is missing beyond it is a problem record.
pub fn read_peb(memory: &dyn ReadMemory, base: Va, width: PointerWidth, problems: &mut Problems) -> Option<Peb> {
    let layout = PebLayout::of(width);
    let place = || format!("PEB at {base}");
    let u32_at = |offset: u64| memory::u32_at(memory, base.checked_add(offset)?);
    let pointer_at = |offset: u64| memory::pointer_at(memory, base.checked_add(offset)?, width);
    let nt_global_flag = u32_at(layout.nt_global_flag)?;
    let parameters_at = pointer_at(layout.process_parameters)?;
    let parameters = parameters::read_parameters(memory, parameters_at, width);
    if parameters.is_none() {
        problems.missing(place(), format!("process parameters at {parameters_at} are not in the dump"));
    }
    let mut pointed_at = Vec::new();
    for (offset, name) in layout.pointed_at {
        if let Some(va) = pointer_at(*offset).filter(|va| !va.is_null()) {
            pointed_at.push((va, *name));
        }
    }
    let os_build = memory::u16_at(memory, base.checked_add(layout.os_version.checked_add(8)?)?)?;
    if os_build >= FIRST_BUILD_OF_WINDOWS_8 {
        let csr = base.checked_add(layout.csr_shared_memory).and_then(|at| memory::u64_at(memory, at)).map(Va);
        pointed_at.extend(csr.filter(|va| !va.is_null()).map(|va| (va, "CSR Shared Memory")));
    }
    let own_pointers = [(parameters_at, "Process Parameters")]
        .into_iter()
        .chain(parameters.as_ref().map(|parameters| (parameters.environment_at, "Environment Block")));
    pointed_at.extend(own_pointers.filter(|(va, _)| !va.is_null()));
    Some(Peb {
        base,
        width,
        being_debugged: memory::u8_at(memory, base.checked_add(2)?)? != 0,
        image_base: pointer_at(layout.image_base)?,
        nt_global_flag,
        processor_count: u32_at(layout.processor_count)?,
        os_major: u32_at(layout.os_version)?,
        os_minor: u32_at(layout.os_version.checked_add(4)?)?,
        os_build,
        subsystem_major: layout.os_version.checked_add(0x14).and_then(u32_at),
        process_heap: pointer_at(layout.process_heap)?,
        heaps: read_heap_list(memory, base, layout, width, problems),
        heap_count: u32_at(layout.number_of_heaps),
        parameters,
        pointed_at,
    })
}

fn read_heap_list(
    memory: &dyn ReadMemory,
    base: Va,
    layout: &PebLayout,
    width: PointerWidth,
    problems: &mut Problems,
) -> Vec<Va> {
    let place = || format!("PEB at {base}");
    let read = || {
        let count = memory::u32_at(memory, base.checked_add(layout.number_of_heaps)?)?;
        let list = memory::pointer_at(memory, base.checked_add(layout.process_heaps)?, width)?;
        Some((count, list))
    };
    let Some((count, list)) = read() else {
        problems.missing(place(), "the list of process heaps is not in the dump");
        return Vec::new();
    };
    let heaps: Vec<Va> = (0..u64::from(count.min(MAX_HEAPS)))
        .map_while(|index| memory::pointer_at(memory, list.checked_add(index.checked_mul(width.bytes())?)?, width))
        .collect();
    if (heaps.len() as u64) < u64::from(count) {
        let text = format!("names {count} process heaps at {list}, {} of their addresses are in the dump", heaps.len());
        if count > MAX_HEAPS { problems.damage(place(), text) } else { problems.missing(place(), text) }
    }
    heaps
}
