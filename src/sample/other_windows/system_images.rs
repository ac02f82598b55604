//! The images of these samples, from the functions that they export.
//!
//! Addresses, sizes and time stamps are made up; what a function lies at, and how far into it a call returns, follows
//! listings of such systems where there are some.

use super::process_plan::ProcessPlan;
use crate::base::addr::{PointerWidth, Rva, Va};
use crate::sample::address_space::winnt::PAGE_READWRITE;
use crate::sample::allocfree::case_functions::Framed;
use crate::sample::allocfree::image_parts::{Identity, add_framed, at, data_runs, image_of, spread};
use crate::sample::allocfree::modules::ProcessModule;
use crate::sample::allocfree::system_exports::{
    KERNEL32_FORWARDS, KERNEL32_NAMES, KERNELBASE_NAMES, LDR_NAMES, NT_NAMES, RTL_NAMES,
};
use crate::sample::pe_image::{Export, ExportTarget, UnwindFunction};
use crate::sample::process_memory::Windows;

/// Sizes of the sections of ntdll, kernel32 and KERNELBASE without unwind data; `.data` of ntdll begins at its RVA here.
const NTDLL_SIZES: [u32; 6] = [0xd_6000, 0x1_0000, 0x9000, 0, 0x5_6000, 0x5000];
const KERNEL32_SIZES: [u32; 6] = [0xc_6000, 0x1_0000, 0x1000, 0, 0x1000, 0xb000];
const KERNELBASE_SIZES: [u32; 6] = [0x4_3000, 0x8000, 0x2000, 0, 0x1000, 0x3000];
const UNWIND_BYTES: u32 = 0x1000;
const NTDLL_DATA_RVA: u32 = 0x1000 + NTDLL_SIZES[0] + NTDLL_SIZES[1];

/// Variables in ntdll's .data.
pub const LOADER_DATA: Rva = Rva(NTDLL_DATA_RVA + 0x640);
pub const TLS_BITMAP: Rva = Rva(NTDLL_DATA_RVA + 0x590);
pub const LOADER_LOCK: Rva = Rva(NTDLL_DATA_RVA + 0x1490);
pub const PROCESS_HEAPS: Rva = Rva(NTDLL_DATA_RVA + 0x2860);
pub const FAST_PEB_LOCK: Rva = Rva(NTDLL_DATA_RVA + 0x2b00);
const TRACE_DATABASE: u32 = NTDLL_DATA_RVA + 0x700;
const HEAP_TRACE_LOG: u32 = NTDLL_DATA_RVA + 0x710;
const LFH_KEY: u32 = NTDLL_DATA_RVA + 0x780;
const BREAK_ON_FAILURE_COOKIE: u32 = NTDLL_DATA_RVA + 0xa10;

/// The functions of one image.
pub struct Functions<'a> {
    pub framed: &'a [Framed],
    /// More exports, and functions with frames among them.
    pub exports: Vec<Export>,
    pub unwind: Vec<UnwindFunction>,
}

impl<'a> Functions<'a> {
    pub fn framed(framed: &'a [Framed]) -> Self {
        Self { framed, exports: Vec::new(), unwind: Vec::new() }
    }
}

fn with_unwind(width: PointerWidth, mut sizes: [u32; 6]) -> [u32; 6] {
    if width == PointerWidth::Bits64 {
        sizes[3] = UNWIND_BYTES;
    }
    sizes
}

fn module(
    windows: Windows,
    identity: &Identity,
    sizes: [u32; 6],
    path: String,
    functions: Functions<'_>,
) -> ProcessModule {
    let width = windows.width();
    let Functions { framed, mut exports, mut unwind } = functions;
    add_framed(framed, &mut exports, &mut unwind);
    if width == PointerWidth::Bits32 {
        unwind.clear();
    }
    let [_, _, data_bytes, ..] = sizes;
    let image = image_of(width, identity, with_unwind(width, sizes), exports, unwind);
    let version = match windows {
        Windows::XpX86 => [5, 1, 2600, 5512],
        Windows::SevenX86 | Windows::SevenX64 => [6, 1, 7601, 17514],
        Windows::TenX64 => [10, 0, 19041, 2965],
    };
    let version = identity.is_dll.then_some(version);
    ProcessModule { image, path, version, data_runs: data_runs(&[(u64::from(data_bytes) / 0x1000, PAGE_READWRITE)]) }
}

/// A PDB identity for each image of each system: no real one, so that no symbol server has it.
const fn pdb_mark(windows: Windows, number: u8) -> u8 {
    0xb0 + 0x10 * windows as u8 + number
}

/// The program at `base`, in a folder of its name.
pub fn program(
    windows: Windows,
    file_name: &'static str,
    pdb_name: &'static str,
    base: Va,
    functions: Functions<'_>,
) -> ProcessModule {
    let identity = Identity {
        file_name,
        base,
        time_date_stamp: 0x4f5f_2c11,
        pdb_name,
        pdb_mark: pdb_mark(windows, 1),
        is_dll: false,
        entry_point: 0x15a0,
    };
    let folder = file_name.trim_end_matches(".exe");
    module(
        windows,
        &identity,
        [0x8000, 0x4000, 0x3000, 0, 0x1000, 0x1000],
        format!(r"C:\{folder}\{file_name}"),
        functions,
    )
}

fn library(
    windows: Windows,
    (number, file_name, pdb_name): (u8, &'static str, &'static str),
    base: Va,
    sizes: [u32; 6],
    functions: Functions<'_>,
) -> ProcessModule {
    let folder = if windows == Windows::XpX86 { r"C:\WINDOWS\system32" } else { r"C:\Windows\System32" };
    let identity = Identity {
        file_name,
        base,
        time_date_stamp: 0x4ce7_d000 + u32::from(pdb_mark(windows, number)),
        pdb_name,
        pdb_mark: pdb_mark(windows, number),
        is_dll: true,
        entry_point: if file_name == "ntdll.dll" { 0 } else { 0x1e00 },
    };
    module(windows, &identity, sizes, format!(r"{folder}\{}", file_name.replace("KERNEL32", "kernel32")), functions)
}

/// ntdll with the usual names besides `framed`, and its variables.
pub fn ntdll(windows: Windows, base: Va, framed: &[Framed]) -> ProcessModule {
    let mut exports = spread(&RTL_NAMES, 0x3_0000, 0x180);
    exports.extend(spread(&LDR_NAMES, 0x4_0000, 0x240));
    exports.extend(spread(&NT_NAMES, 0x5_1200, 0x10));
    if windows == Windows::XpX86 {
        // Before Windows 7 the name has one more capital.
        exports.push(at("RtlpStackTraceDataBase", TRACE_DATABASE));
    } else {
        exports.push(at("RtlpStackTraceDatabase", TRACE_DATABASE));
        exports.push(at("RtlpHeapStackTraceLog", HEAP_TRACE_LOG));
        exports.push(at("RtlpLFHKey", LFH_KEY));
        exports.push(at("RtlpDisableBreakOnFailureCookie", BREAK_ON_FAILURE_COOKIE));
    }
    let functions = Functions { framed, exports, unwind: Vec::new() };
    library(windows, (2, "ntdll.dll", "ntdll.pdb"), base, NTDLL_SIZES, functions)
}

pub fn kernel32(windows: Windows, base: Va, framed: &[Framed]) -> ProcessModule {
    let mut exports = spread(&KERNEL32_NAMES, 0x2_0000, 0x90);
    exports.extend(KERNEL32_FORWARDS.iter().map(|(name, target)| Export {
        name: (*name).to_owned(),
        target: ExportTarget::Forward((*target).to_owned()),
    }));
    let functions = Functions { framed, exports, unwind: Vec::new() };
    library(windows, (3, "KERNEL32.dll", "kernel32.pdb"), base, KERNEL32_SIZES, functions)
}

pub fn kernelbase(windows: Windows, base: Va, framed: &[Framed]) -> ProcessModule {
    let functions = Functions { framed, exports: spread(&KERNELBASE_NAMES, 0x3000, 0xb0), unwind: Vec::new() };
    library(windows, (4, "KERNELBASE.dll", "kernelbase.pdb"), base, KERNELBASE_SIZES, functions)
}

impl ProcessPlan {
    /// An address in ntdll.
    pub fn in_ntdll(&self, rva: Rva) -> Va {
        let ntdll = self.modules.iter().find(|module| module.image.file_name == "ntdll.dll");
        ntdll.map_or(Va(0), |module| Va(module.image.base.0 + u64::from(rva.0)))
    }
}
