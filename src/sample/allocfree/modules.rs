//! The four images of the process, with the exports that give the addresses of the case their names.
//!
//! Time stamps and PDB identities are made up on purpose: with real ones a symbol server would answer with files whose code is
//! not the code here. Section sizes of the system modules follow a real Windows 7 SP1 x64 process.

use super::case_functions::{ALLOCFREE_FRAMED, ALLOCFREE_PLAIN, KERNEL32_FRAMED, NTDLL_DATA, NTDLL_FRAMED};
use super::image_parts::{Identity, add_framed, at, data_runs, image, spread};
use super::system_exports::{KERNEL32_FORWARDS, KERNEL32_NAMES, KERNELBASE_NAMES, LDR_NAMES, NT_NAMES, RTL_NAMES};
use crate::base::addr::{Rva, Va};
use crate::sample::address_space::winnt::{PAGE_READWRITE, PAGE_WRITECOPY};
use crate::sample::address_space::{Run, winnt};
use crate::sample::minidump_file::Module;
use crate::sample::pe_image::{Export, ExportTarget, PeImage, UnwindFunction, section_kind};
use crate::sample::process_memory::LoadedModule;

/// RVAs in ntdll's .data that more than one part of the sample needs.
pub const NTDLL_LOADER_DATA: Rva = Rva(0x12_f640);
pub const NTDLL_TLS_BITMAP: Rva = Rva(0x12_f590);
pub const NTDLL_LOADER_LOCK: Rva = Rva(0x13_4490);
pub const NTDLL_PROCESS_HEAPS: Rva = Rva(0x13_7860);
pub const NTDLL_FAST_PEB_LOCK: Rva = Rva(0x13_7b00);

/// A module of the process: its image, where its file is, and how its data pages are mapped.
#[derive(Clone, Debug)]
pub struct ProcessModule {
    pub image: PeImage,
    pub path: String,
    pub version: Option<[u16; 4]>,
    /// The pages of `.data`: written ones are read-write, others still copy on write.
    pub data_runs: Vec<Run>,
}

impl ProcessModule {
    /// The regions of the mapped image, from its base on.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs = vec![Run::committed(0x1000, winnt::PAGE_READONLY)];
        for section in &self.image.sections {
            let size_bytes = u64::from(section.size_bytes.next_multiple_of(0x1000));
            match section.characteristics {
                section_kind::DATA => runs.extend_from_slice(&self.data_runs),
                section_kind::CODE => runs.push(Run::committed(size_bytes, winnt::PAGE_EXECUTE_READ)),
                _ => runs.push(Run::committed(size_bytes, winnt::PAGE_READONLY)),
            }
        }
        runs
    }

    /// Where the code of the image starts; 0 for an image without an entry point, as the loader keeps it.
    pub fn entry_point(&self) -> Va {
        let image = &self.image;
        if image.entry_point == Rva(0) { Va(0) } else { Va(image.base.0 + u64::from(image.entry_point.0)) }
    }

    /// As the dump lists it.
    pub fn listed(&self) -> Module {
        let image = &self.image;
        Module {
            base: image.base,
            size_bytes: image.size_bytes,
            checksum: image.checksum,
            time_date_stamp: image.time_date_stamp,
            path: self.path.clone(),
            version: self.version,
            code_view: image.code_view.record(),
        }
    }

    /// As the loader of the process lists it.
    pub fn loaded(&self, load_filetime: u64) -> LoadedModule {
        let image = &self.image;
        // ntdll initialises first, then KERNELBASE before kernel32, which needs it.
        let init_position =
            ["ntdll.dll", "KERNELBASE.dll", "KERNEL32.dll"].iter().position(|name| *name == image.file_name);
        LoadedModule {
            base: image.base,
            entry_point: self.entry_point(),
            size_bytes: image.size_bytes,
            path: self.path.clone(),
            // LDRP_ENTRY_PROCESSED; for libraries also LDRP_IMAGE_DLL and LDRP_PROCESS_ATTACH_CALLED.
            flags: if image.is_dll { 0x8_4004 } else { 0x4000 },
            load_count: u16::MAX,
            time_date_stamp: image.time_date_stamp,
            init_position,
            load_filetime,
        }
    }
}

/// AllocFree, ntdll, kernel32 and KERNELBASE, in load order.
pub fn modules() -> Vec<ProcessModule> {
    vec![allocfree(), ntdll(), kernel32(), kernelbase()]
}

/// The functions of AllocFree.exe, which lie at the same places in its 32-bit build.
pub fn allocfree_functions() -> (Vec<Export>, Vec<UnwindFunction>) {
    let (mut exports, mut functions) = (Vec::new(), Vec::new());
    add_framed(&ALLOCFREE_FRAMED, &mut exports, &mut functions);
    exports.extend(ALLOCFREE_PLAIN.iter().map(|(name, rva)| at(name, *rva)));
    // foo19 down to foo1 lie 0x20 bytes apart.
    for (number, rva) in (1..=19).rev().zip((0x1030..).step_by(0x20)) {
        exports.push(at(&format!("foo{number}"), rva));
        functions.push(UnwindFunction { start: Rva(rva), size_bytes: 0x20, frame_bytes: 0x28 });
    }
    (exports, functions)
}

fn allocfree() -> ProcessModule {
    let (exports, functions) = allocfree_functions();
    let identity = Identity {
        file_name: "AllocFree.exe",
        base: Va(0x1_3fcc_0000),
        time_date_stamp: 0x4dc8_f1a3,
        pdb_name: r"C:\AllocFree\x64\Release\AllocFree.pdb",
        pdb_mark: 0xa1,
        is_dll: false,
        entry_point: 0x15a0,
    };
    let image = image(&identity, [0x7000, 0x3000, 0x3000, 0x1000, 0x1000, 0x1000], exports, functions);
    let data_runs = data_runs(&[(2, PAGE_READWRITE), (1, PAGE_WRITECOPY)]);
    ProcessModule { image, path: r"C:\AllocFree\AllocFree.exe".to_owned(), version: None, data_runs }
}

fn ntdll() -> ProcessModule {
    let (mut exports, mut functions) = (Vec::new(), Vec::new());
    add_framed(&NTDLL_FRAMED, &mut exports, &mut functions);
    exports.extend(NTDLL_DATA.iter().map(|(name, rva)| at(name, *rva)));
    exports.extend(spread(&RTL_NAMES, 0x3_0000, 0x180));
    exports.extend(spread(&LDR_NAMES, 0x4_0000, 0x240));
    exports.extend(spread(&NT_NAMES, 0x5_1200, 0x10));
    exports.push(at("RtlFreeHeap", 0x5_3520));
    exports.push(at("RtlSizeHeap", 0x5_3a00));
    let identity = Identity {
        file_name: "ntdll.dll",
        base: Va(0x7783_0000),
        time_date_stamp: 0x4ce7_c0de,
        pdb_name: "ntdll.pdb",
        pdb_mark: 0xa2,
        is_dll: true,
        entry_point: 0,
    };
    let sizes = [0xf_f000, 0x2_f000, 0xc000, 0xe000, 0x5_d000, 0x3000];
    let data_runs = data_runs(&[
        (1, PAGE_READWRITE),
        (1, PAGE_WRITECOPY),
        (1, PAGE_READWRITE),
        (2, PAGE_WRITECOPY),
        (1, PAGE_READWRITE),
        (1, PAGE_WRITECOPY),
        (2, PAGE_READWRITE),
        (3, PAGE_WRITECOPY),
    ]);
    system_module(image(&identity, sizes, exports, functions), data_runs)
}

fn kernel32() -> ProcessModule {
    let (mut exports, mut functions) = (Vec::new(), Vec::new());
    add_framed(&KERNEL32_FRAMED, &mut exports, &mut functions);
    exports.extend(spread(&KERNEL32_NAMES, 0x2_0000, 0x90));
    exports.extend(KERNEL32_FORWARDS.iter().map(|(name, target)| Export {
        name: (*name).to_owned(),
        target: ExportTarget::Forward((*target).to_owned()),
    }));
    let identity = Identity {
        file_name: "KERNEL32.dll",
        base: Va(0x7771_0000),
        time_date_stamp: 0x4ce7_c0df,
        pdb_name: "kernel32.pdb",
        pdb_mark: 0xa3,
        is_dll: true,
        entry_point: 0x1_5ea0,
    };
    let sizes = [0x9_b000, 0x6_e000, 0x2000, 0xa000, 0x1000, 0x8000];
    system_module(image(&identity, sizes, exports, functions), data_runs(&[(1, PAGE_READWRITE), (1, PAGE_WRITECOPY)]))
}

fn kernelbase() -> ProcessModule {
    let identity = Identity {
        file_name: "KERNELBASE.dll",
        base: Va(0x7fe_fd6d_0000),
        time_date_stamp: 0x4ce7_c0e0,
        pdb_name: "kernelbase.pdb",
        pdb_mark: 0xa4,
        is_dll: true,
        entry_point: 0x1e00,
    };
    let sizes = [0x4_8000, 0x1_9000, 0x2000, 0x4000, 0x1000, 0x2000];
    let exports = spread(&KERNELBASE_NAMES, 0x3000, 0xb0);
    system_module(image(&identity, sizes, exports, Vec::new()), data_runs(&[(2, PAGE_READWRITE)]))
}

fn system_module(image: PeImage, data_runs: Vec<Run>) -> ProcessModule {
    let file_name = if image.file_name == "KERNEL32.dll" { "kernel32.dll" } else { &image.file_name };
    let path = format!(r"C:\Windows\System32\{file_name}");
    ProcessModule { image, path, version: Some([6, 1, 7601, 17514]), data_runs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// `module!function+0xoffset` from the exports alone, as a debugger without symbols says it.
    fn symbol(modules: &[ProcessModule], va: u64) -> String {
        let module = modules
            .iter()
            .find(|m| (m.image.base.0..m.image.base.0 + u64::from(m.image.size_bytes)).contains(&va))
            .unwrap();
        let rva = u32::try_from(va - module.image.base.0).unwrap();
        let by_rva: BTreeMap<u32, &str> = module
            .image
            .exports
            .iter()
            .filter_map(|export| match export.target {
                ExportTarget::At(rva) => Some((rva.0, export.name.as_str())),
                ExportTarget::Forward(_) => None,
            })
            .collect();
        let (start, name) = by_rva.range(..=rva).next_back().unwrap();
        format!("{name}+0x{:x}", rva - start)
    }

    #[test]
    fn the_addresses_of_the_case_have_the_names_of_the_case() {
        let modules = modules();
        let cases = [
            (0x7789_1142, "RtlpAllocateHeap+0x33bd"),
            (0x7788_34d8, "RtlAllocateHeap+0x16c"),
            (0x1_3fcc_13cb, "malloc+0x5b"),
            (0x1_3fcc_1015, "foo20+0x15"),
            (0x1_3fcc_1041, "foo19+0x11"),
            (0x1_3fcc_1161, "foo10+0x11"),
            (0x1_3fcc_1281, "foo1+0x11"),
            (0x1_3fcc_12e3, "wmain+0x53"),
            (0x1_3fcc_156c, "__tmainCRTStartup+0x144"),
            (0x7772_59ed, "BaseThreadInitThunk+0xd"),
            (0x7785_c541, "RtlUserThreadStart+0x1d"),
        ];
        for (va, expect) in cases {
            assert_eq!(symbol(&modules, va), expect);
        }
    }

    #[test]
    fn the_regions_of_each_image_cover_it_exactly() {
        for module in modules() {
            let total: u64 = module.runs().iter().map(|run| run.size_bytes).sum();
            assert_eq!(total, u64::from(module.image.size_bytes), "{}", module.path);
        }
        let sizes: Vec<_> = modules().iter().map(|module| module.image.size_bytes).collect();
        assert_eq!(sizes[1..3], [0x1a_9000, 0x11_f000]);
    }
}
