//! The structures of a process that its dump holds: PEB, TEB, process parameters, loader data.
//!
//! Each has a function for Windows 7 x64, which most tests want, and one ending in `_of` for any of the systems. Where the
//! offsets come from: `windows`.

mod loader_data;
mod process_parameters;
mod windows;

pub use loader_data::{LoadedModule, LoaderData, loader_data, loader_data_of};
pub use process_parameters::{ParameterTexts, process_parameters, process_parameters_of};
pub use windows::Windows;

use super::le_bytes::LeBytes;
use crate::base::addr::{PointerWidth, Va};

/// sizeof(PEB) and sizeof(TEB), Windows 7 x64. Both have pages of their own.
pub const PEB_BYTES: usize = Windows::SevenX64.peb_bytes();
pub const TEB_BYTES: usize = Windows::SevenX64.teb_bytes();

/// What the PEB of the sample says; everything else in it is zero.
#[derive(Clone, Debug, Default)]
pub struct PebFields {
    pub image_base: Va,
    pub loader_data: Va,
    pub process_parameters: Va,
    pub process_heap: Va,
    pub fast_peb_lock: Va,
    pub loader_lock: Va,
    pub api_set_map: Va,
    pub tls_bitmap: Va,
    pub read_only_shared_memory: Va,
    pub read_only_static_server_data: Va,
    pub ansi_code_page: Va,
    pub oem_code_page: Va,
    pub unicode_case_table: Va,
    pub system_default_activation_context: Va,
    pub processor_count: u32,
    pub nt_global_flag: u32,
    pub heap_count: u32,
    pub largest_heap_count: u32,
    /// The array of heap pointers.
    pub process_heaps: Va,
    pub build_number: u16,
    pub service_pack: u16,
    pub subsystem: u32,
    pub affinity_mask: u64,
    pub session_id: u32,
}

/// The bytes of a PEB of Windows 7 x64.
pub fn peb(fields: &PebFields) -> Vec<u8> {
    peb_of(Windows::SevenX64, fields)
}

/// The bytes of a PEB.
pub fn peb_of(windows: Windows, fields: &PebFields) -> Vec<u8> {
    let mut peb = LeBytes::zeroed(windows.peb_bytes());
    let width = windows.width();
    // BitField: IsImageDynamicallyRelocated. XP has a spare byte there.
    peb.put_u8(3, if windows == Windows::XpX86 { 0 } else { 0x08 });
    // CriticalSectionTimeout: 30 days as a negative span of 100 ns.
    peb.put_u64(windows.at(0x70, 0xc0), (-25_920_000_000_000_i64).cast_unsigned());
    let pointers = [
        (0x4, 0x8, Va(u64::MAX)),
        (0x8, 0x10, fields.image_base),
        (0xc, 0x18, fields.loader_data),
        (0x10, 0x20, fields.process_parameters),
        (0x18, 0x30, fields.process_heap),
        (0x1c, 0x38, fields.fast_peb_lock),
        (0x38, 0x68, fields.api_set_map),
        (0x40, 0x78, fields.tls_bitmap),
        (0x4c, 0x88, fields.read_only_shared_memory),
        (0x54, 0x98, fields.read_only_static_server_data),
        (0x58, 0xa0, fields.ansi_code_page),
        (0x5c, 0xa8, fields.oem_code_page),
        (0x60, 0xb0, fields.unicode_case_table),
        // The defaults for new heaps: reserve, commit, decommit thresholds.
        (0x78, 0xc8, Va(0x10_0000)),
        (0x7c, 0xd0, Va(0x2000)),
        (0x80, 0xd8, Va(0x1_0000)),
        (0x84, 0xe0, Va(0x1000)),
        (0x90, 0xf0, fields.process_heaps),
        (0xa0, 0x110, fields.loader_lock),
        (0xc0, 0x138, Va(fields.affinity_mask)),
        (0x200, 0x308, fields.system_default_activation_context),
        (0x208, 0x318, Va(0x1000)),
    ];
    for (narrow, wide, value) in pointers {
        peb.put_pointer(width, windows.at(narrow, wide), value);
    }
    let (major, minor) = windows.version();
    let numbers = [
        (0x44, 0x80, 1),
        (0x64, 0xb8, fields.processor_count),
        (0x68, 0xbc, fields.nt_global_flag),
        (0x88, 0xe8, fields.heap_count),
        (0x8c, 0xec, fields.largest_heap_count),
        (0xa4, 0x118, major),
        (0xa8, 0x11c, minor),
        // OSBuildNumber, OSCSDVersion.
        (0xac, 0x120, u32::from(fields.build_number) | u32::from(fields.service_pack) << 24),
        (0xb0, 0x124, 2),
        (0xb4, 0x128, fields.subsystem),
        (0xb8, 0x12c, major),
        (0xbc, 0x130, minor),
        (0x1d4, 0x2c0, fields.session_id),
    ];
    for (narrow, wide, value) in numbers {
        peb.put_u32(windows.at(narrow, wide), value);
    }
    peb.into_vec()
}

/// What the TEB of the sample says.
#[derive(Clone, Copy, Debug, Default)]
pub struct TebFields {
    pub teb: Va,
    pub peb: Va,
    pub process_id: u32,
    pub thread_id: u32,
    /// The highest address of the stack, one past its last byte.
    pub stack_base: Va,
    /// The lowest committed address above the guard pages.
    pub stack_limit: Va,
    /// The lowest address of the reservation.
    pub deallocation_stack: Va,
}

/// The bytes of a TEB of Windows 7 x64.
pub fn teb(fields: &TebFields) -> Vec<u8> {
    teb_of(Windows::SevenX64, fields)
}

/// The bytes of a TEB.
pub fn teb_of(windows: Windows, fields: &TebFields) -> Vec<u8> {
    let mut teb = LeBytes::zeroed(windows.teb_bytes());
    let [process_id, thread_id] = [fields.process_id, fields.thread_id].map(|id| Va(u64::from(id)));
    if windows.width() == PointerWidth::Bits32 {
        // No exception handler is registered.
        teb.put_u32(0, u32::MAX);
    }
    let pointers = [
        (0x4, 0x8, fields.stack_base),
        (0x8, 0x10, fields.stack_limit),
        (0x10, 0x20, Va(0x1e00)),
        (0x18, 0x30, fields.teb),
        (0x20, 0x40, process_id),
        (0x24, 0x48, thread_id),
        // ThreadLocalStoragePointer: the slots in the TEB.
        (0x2c, 0x58, Va(fields.teb.0 + windows.at(0xe10, 0x1480) as u64)),
        (0x30, 0x60, fields.peb),
        // RealClientId repeats ClientId.
        (0x6b4, 0x7d8, process_id),
        (0x6b8, 0x7e0, thread_id),
        // The buffer of StaticUnicodeString, 261 units, is part of the TEB.
        (0xbfc, 0x1260, Va(fields.teb.0 + windows.at(0xc00, 0x1268) as u64)),
        (0xe0c, 0x1478, fields.deallocation_stack),
    ];
    for (narrow, wide, value) in pointers {
        teb.put_pointer(windows.width(), windows.at(narrow, wide), value);
    }
    // CurrentLocale: English (United States).
    teb.put_u32(windows.at(0xc4, 0x108), 0x409).put_u16(windows.at(0xbfa, 0x125a), 0x20a);
    teb.into_vec()
}

/// [`user_shared_data_of`] Windows 7 x64.
pub fn user_shared_data(system_filetime: u64, uptime_100ns: u64) -> Vec<u8> {
    user_shared_data_of(Windows::SevenX64, system_filetime, uptime_100ns)
}

/// The parts of KUSER_SHARED_DATA that identify the system (ntddk.h, documented).
pub fn user_shared_data_of(windows: Windows, system_filetime: u64, uptime_100ns: u64) -> Vec<u8> {
    let mut data = LeBytes::zeroed(0x5f0);
    // TickCountMultiplier for 15.6 ms ticks; the three KSYSTEM_TIMEs hold low, high, high again.
    data.put_u32(4, 0x0fa0_0000);
    put_system_time(&mut data, 0x08, uptime_100ns);
    put_system_time(&mut data, 0x14, system_filetime);
    // The machines that image files may be for.
    let machine = if windows.width() == PointerWidth::Bits64 { 0x8664 } else { 0x14c };
    data.put_u16(0x2c, machine).put_u16(0x2e, machine).put(0x30, &super::le_bytes::utf16_bytes(r"C:\Windows"));
    // NtProductType: workstation.
    let (major, minor) = windows.version();
    data.put_u32(0x264, 1).put_u8(0x268, 1).put_u32(0x26c, major).put_u32(0x270, minor);
    data.into_vec()
}

fn put_system_time(data: &mut LeBytes, at: usize, time: u64) {
    let [low, high] = [time & 0xffff_ffff, time >> 32].map(|half| u32::try_from(half).unwrap_or_default());
    data.put_u32(at, low).put_u32(at + 4, high).put_u32(at + 8, high);
}

/// An idle `RTL_CRITICAL_SECTION` of a 64-bit process: nobody holds it.
pub fn free_critical_section() -> Vec<u8> {
    free_critical_section_of(Windows::SevenX64)
}

/// An idle `RTL_CRITICAL_SECTION`.
pub fn free_critical_section_of(windows: Windows) -> Vec<u8> {
    let mut section = LeBytes::zeroed(windows.at(0x18, 0x28));
    // No debug information; LockCount.
    section.put_pointer(windows.width(), 0, Va(u64::MAX)).put_u32(windows.at(4, 8), u32::MAX);
    section.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytes::{u16_at, u32_at, u64_at};

    #[test]
    fn the_peb_answers_what_debuggers_ask_first() {
        let fields = PebFields { nt_global_flag: 0x1000, heap_count: 3, build_number: 7601, ..PebFields::default() };
        let bytes = peb(&fields);
        assert_eq!(u32_at(&bytes, 0xbc), Some(0x1000));
        assert_eq!(u32_at(&bytes, 0xe8), Some(3));
        assert_eq!(u16_at(&bytes, 0x120), Some(7601));
        assert_eq!(bytes.len(), PEB_BYTES);
    }

    #[test]
    fn the_teb_knows_its_own_address() {
        let bytes = teb(&TebFields { teb: Va(0x7ff_fffd_d000), thread_id: 8, ..TebFields::default() });
        assert_eq!(u64_at(&bytes, 0x30), Some(0x7ff_fffd_d000));
        assert_eq!(u64_at(&bytes, 0x48), Some(8));
        assert_eq!(bytes.len(), TEB_BYTES);
    }
}
