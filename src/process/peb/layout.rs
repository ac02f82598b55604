//! Offsets in `_PEB`. They are the same on every build from Windows XP to Windows 11 23H2; sources: public symbols of
//! ntoskrnl and ntdll for those builds, and the PEBs of real dumps of builds 7601, 19042 and 26200.

use crate::base::addr::PointerWidth;

/// Where the fields that we use lie.
pub(super) struct PebLayout {
    pub image_base: u64,
    pub process_parameters: u64,
    pub process_heap: u64,
    pub processor_count: u64,
    pub nt_global_flag: u64,
    pub number_of_heaps: u64,
    pub process_heaps: u64,
    /// OSMajorVersion; the minor version and the 16-bit build follow at +4 and +8.
    pub os_version: u64,
    /// CsrServerReadOnlySharedMemoryBase, Windows 8 and later, 64 bits wide in both.
    pub csr_shared_memory: u64,
    /// Pointers to memory of its own, with the names that `!address` gives them.
    pub pointed_at: &'static [(u64, &'static str)],
}

impl PebLayout {
    pub const fn of(width: PointerWidth) -> &'static Self {
        match width {
            PointerWidth::Bits32 => &BITS32,
            PointerWidth::Bits64 => &BITS64,
        }
    }
}

static BITS32: PebLayout = PebLayout {
    image_base: 0x8,
    process_parameters: 0x10,
    process_heap: 0x18,
    processor_count: 0x64,
    nt_global_flag: 0x68,
    number_of_heaps: 0x88,
    process_heaps: 0x90,
    os_version: 0xa4,
    csr_shared_memory: 0x248,
    pointed_at: &[
        (0x38, "API Set Map"),
        (0x4c, "Read Only Shared Memory"),
        (0x58, "NLS Tables"),
        (0x5c, "NLS Tables"),
        (0x60, "NLS Tables"),
        (0x94, "GDI Shared Handle Table"),
        (0x1f8, "Activation Context Data"),
        (0x200, "System Default Activation Context Data"),
    ],
};

static BITS64: PebLayout = PebLayout {
    image_base: 0x10,
    process_parameters: 0x20,
    process_heap: 0x30,
    processor_count: 0xb8,
    nt_global_flag: 0xbc,
    number_of_heaps: 0xe8,
    process_heaps: 0xf0,
    os_version: 0x118,
    csr_shared_memory: 0x380,
    pointed_at: &[
        (0x68, "API Set Map"),
        (0x88, "Read Only Shared Memory"),
        (0xa0, "NLS Tables"),
        (0xa8, "NLS Tables"),
        (0xb0, "NLS Tables"),
        (0xf8, "GDI Shared Handle Table"),
        (0x2f8, "Activation Context Data"),
        (0x308, "System Default Activation Context Data"),
    ],
};

/// Windows' names of what is pointed at, in the order of [`PebLayout::pointed_at`].
const POINTERS: [&str; 8] = [
    "ApiSetMap",
    "ReadOnlySharedMemoryBase",
    "AnsiCodePageData",
    "OemCodePageData",
    "UnicodeCaseTableData",
    "GdiSharedHandleTable",
    "ActivationContextData",
    "SystemDefaultActivationContextData",
];

/// The fields of `_PEB` that are read, by Windows' names, for checking them: structure, field, offset.
pub fn named_fields(width: PointerWidth) -> Vec<(&'static str, &'static str, u64)> {
    let layout = PebLayout::of(width);
    let mut fields = vec![
        ("ImageBaseAddress", layout.image_base),
        ("ProcessParameters", layout.process_parameters),
        ("ProcessHeap", layout.process_heap),
        ("NumberOfProcessors", layout.processor_count),
        ("NtGlobalFlag", layout.nt_global_flag),
        ("NumberOfHeaps", layout.number_of_heaps),
        ("ProcessHeaps", layout.process_heaps),
        ("OSMajorVersion", layout.os_version),
        ("CsrServerReadOnlySharedMemoryBase", layout.csr_shared_memory),
    ];
    fields.extend(POINTERS.into_iter().zip(layout.pointed_at.iter().map(|(offset, _)| *offset)));
    fields.into_iter().map(|(field, offset)| ("_PEB", field, offset)).collect()
}
