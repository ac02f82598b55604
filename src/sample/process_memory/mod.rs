//! The structures of a 64-bit Windows 7 process that its dump holds: PEB, TEB, process parameters, loader data.
//!
//! Offsets: public symbols of ntoskrnl and ntdll, Windows 7 SP1 x64 (6.1.7601), unless a line names another source.

mod loader_data;
mod process_parameters;

pub use loader_data::{LoadedModule, LoaderData, loader_data};
pub use process_parameters::{ParameterTexts, process_parameters};

use super::le_bytes::LeBytes;
use crate::base::addr::Va;

/// sizeof(PEB) and sizeof(TEB), Windows 7 x64. Both have pages of their own.
pub const PEB_BYTES: usize = 0x380;
pub const TEB_BYTES: usize = 0x1818;

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

/// The bytes of a PEB.
pub fn peb(fields: &PebFields) -> Vec<u8> {
    let mut peb = LeBytes::zeroed(PEB_BYTES);
    // BitField: IsImageDynamicallyRelocated.
    peb.put_u8(3, 0x08).put_u64(8, u64::MAX).put_va(0x10, fields.image_base).put_va(0x18, fields.loader_data);
    peb.put_va(0x20, fields.process_parameters).put_va(0x30, fields.process_heap).put_va(0x38, fields.fast_peb_lock);
    peb.put_va(0x68, fields.api_set_map).put_va(0x78, fields.tls_bitmap).put_u32(0x80, 1);
    peb.put_va(0x88, fields.read_only_shared_memory).put_va(0x98, fields.read_only_static_server_data);
    peb.put_va(0xa0, fields.ansi_code_page).put_va(0xa8, fields.oem_code_page).put_va(0xb0, fields.unicode_case_table);
    peb.put_u32(0xb8, fields.processor_count).put_u32(0xbc, fields.nt_global_flag);
    // CriticalSectionTimeout: 30 days as a negative span of 100 ns. Then the defaults for new heaps:
    // reserve, commit, decommit thresholds.
    peb.put_u64(0xc0, (-25_920_000_000_000_i64).cast_unsigned());
    peb.put_u64(0xc8, 0x10_0000).put_u64(0xd0, 0x2000).put_u64(0xd8, 0x1_0000).put_u64(0xe0, 0x1000);
    peb.put_u32(0xe8, fields.heap_count).put_u32(0xec, fields.largest_heap_count).put_va(0xf0, fields.process_heaps);
    peb.put_va(0x110, fields.loader_lock);
    peb.put_u32(0x118, 6).put_u32(0x11c, 1).put_u16(0x120, fields.build_number);
    peb.put_u16(0x122, fields.service_pack << 8).put_u32(0x124, 2);
    peb.put_u32(0x128, fields.subsystem).put_u32(0x12c, 6).put_u32(0x130, 1).put_u64(0x138, fields.affinity_mask);
    peb.put_u32(0x2c0, fields.session_id).put_va(0x308, fields.system_default_activation_context);
    peb.put_u64(0x318, 0x1000);
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

/// The bytes of a TEB.
pub fn teb(fields: &TebFields) -> Vec<u8> {
    let mut teb = LeBytes::zeroed(TEB_BYTES);
    teb.put_va(8, fields.stack_base).put_va(0x10, fields.stack_limit).put_u64(0x20, 0x1e00).put_va(0x30, fields.teb);
    teb.put_u64(0x40, u64::from(fields.process_id)).put_u64(0x48, u64::from(fields.thread_id));
    teb.put_va(0x58, Va(fields.teb.0 + 0x1480)).put_va(0x60, fields.peb);
    // CurrentLocale: English (United States).
    teb.put_u32(0x108, 0x409);
    // RealClientId repeats ClientId.
    teb.put_u64(0x7d8, u64::from(fields.process_id)).put_u64(0x7e0, u64::from(fields.thread_id));
    // StaticUnicodeString: its buffer of 261 units is part of the TEB.
    teb.put_u16(0x125a, 0x20a).put_va(0x1260, Va(fields.teb.0 + 0x1268));
    teb.put_va(0x1478, fields.deallocation_stack);
    teb.into_vec()
}

/// The parts of KUSER_SHARED_DATA that identify the system (ntddk.h, documented).
pub fn user_shared_data(system_filetime: u64, uptime_100ns: u64) -> Vec<u8> {
    let mut data = LeBytes::zeroed(0x5f0);
    // TickCountMultiplier for 15.6 ms ticks; the three KSYSTEM_TIMEs hold low, high, high again.
    data.put_u32(4, 0x0fa0_0000);
    put_system_time(&mut data, 0x08, uptime_100ns);
    put_system_time(&mut data, 0x14, system_filetime);
    data.put_u16(0x2c, 0x8664).put_u16(0x2e, 0x8664).put(0x30, &super::le_bytes::utf16_bytes(r"C:\Windows"));
    // NtProductType: workstation; version 6.1.
    data.put_u32(0x264, 1).put_u8(0x268, 1).put_u32(0x26c, 6).put_u32(0x270, 1);
    data.into_vec()
}

fn put_system_time(data: &mut LeBytes, at: usize, time: u64) {
    let [low, high] = [time & 0xffff_ffff, time >> 32].map(|half| u32::try_from(half).unwrap_or_default());
    data.put_u32(at, low).put_u32(at + 4, high).put_u32(at + 8, high);
}

/// An idle `RTL_CRITICAL_SECTION`: nobody holds it.
pub fn free_critical_section() -> Vec<u8> {
    let mut section = LeBytes::zeroed(0x28);
    section.put_u64(0, u64::MAX).put_u32(8, u32::MAX);
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
