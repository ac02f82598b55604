//! Images in files: headers checked, exports read, memory seen as it was loaded.

use dumptrend::base::addr::{PointerWidth, Rva, Va};
use dumptrend::base::memory::ReadMemory;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump::modules::ModuleRecord;
use dumptrend::input::image::exports::read_exports;
use dumptrend::input::image::file::{ImageFile, ImageFileError};
use dumptrend::input::symbols::SymbolQuality;
use dumptrend::input::symbols::loader::find_image;
use dumptrend::sample::pe_image::{
    CodeView, Export, ExportTarget, MACHINE_AMD64, MACHINE_I386, PeImage, Section, section_kind,
};

use super::{in_folder, load, only, write};

const STAMP: u32 = 0x4a5b_dfdb;

pub fn image(width: PointerWidth) -> Vec<u8> {
    let section = |name, rva, characteristics| Section { name, rva: Rva(rva), size_bytes: 0x1000, characteristics };
    let at = |rva| ExportTarget::At(Rva(rva));
    let image = PeImage {
        file_name: "small.dll".to_owned(),
        width,
        machine: if width == PointerWidth::Bits64 { MACHINE_AMD64 } else { MACHINE_I386 },
        is_dll: true,
        subsystem: 3,
        base: Va(0x1000_0000),
        size_bytes: 0x4000,
        time_date_stamp: STAMP,
        checksum: 0,
        entry_point: Rva(0x1000),
        sections: vec![
            section(".text", 0x1000, section_kind::CODE),
            section(".rdata", 0x2000, section_kind::READ_ONLY_DATA),
        ],
        exports: vec![
            Export { name: "plain".to_owned(), target: at(0x1010) },
            Export { name: "?method@Class@@QEAAXXZ".to_owned(), target: at(0x1040) },
        ],
        functions: Vec::new(),
        code_view: CodeView::default(),
    };
    image.to_bytes().expect("it fits")
}

pub fn module() -> ModuleRecord {
    ModuleRecord {
        base: Va(0x7_0000_0000),
        size_bytes: 0x4000,
        checksum: 0,
        time_date_stamp: STAMP,
        path: Some(r"C:\app\small.dll".to_owned()),
        file_version: None,
        pdb: None,
    }
}

#[test]
fn an_image_file_lies_where_the_image_lay() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let path = temp.path().join("small.dll");
    for width in [PointerWidth::Bits32, PointerWidth::Bits64] {
        write(&path, &image(width));
        let file = ImageFile::open(&path, &module()).expect("the image");
        let headers = file.headers().expect("headers");
        assert_eq!((headers.base, headers.width, headers.size_bytes), (module().base, width, 0x4000));
        assert_eq!(read_exports(&file, &headers).expect("exports").len(), 2);
        assert_eq!(file.bytes_at(Va(module().base.0 + 0x1ff0), 0x100).len(), 0x10, "a section ends");
        assert_eq!(file.bytes_at(Va(module().base.0 + 0x3000), 1).len(), 0);
        assert_eq!(file.bytes_at(Va(module().base.0 - 1), 1).len(), 0);
    }
}

#[test]
fn files_of_other_builds_are_refused() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let path = temp.path().join("small.dll");
    write(&path, &image(PointerWidth::Bits64));
    let error = |module: &ModuleRecord| ImageFile::open(&path, module).expect_err("refused");
    let other = ModuleRecord { time_date_stamp: 1, ..module() };
    assert!(matches!(error(&other), ImageFileError::OtherBuild { found: STAMP, wanted: 1 }));
    let other = ModuleRecord { size_bytes: 0x5000, ..module() };
    assert!(matches!(error(&other), ImageFileError::OtherSize { found: 0x4000, wanted: 0x5000 }));
    for bytes in [&b""[..], b"MZ", &[0; 4096]] {
        write(&path, bytes);
        assert!(matches!(error(&module()), ImageFileError::NotImage));
    }
    let whole = image(PointerWidth::Bits64);
    for length in (0..whole.len()).step_by(97) {
        write(&path, &whole[..length]);
        if let Ok(file) = ImageFile::open(&path, &module()) {
            drop(file.headers().and_then(|headers| read_exports(&file, &headers)));
        }
    }
    assert!(matches!(ImageFile::open(temp.path(), &module()), Err(ImageFileError::Open(_))));
}

#[test]
fn an_image_that_is_not_in_the_dump_is_named_by_its_file() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    // As a symbol store has it: time stamp and size.
    let path = temp.path().join("small.dll/4A5BDFDB4000/small.dll");
    write(&path, &image(PointerWidth::Bits64));
    write(&temp.path().join("small.dll/4A5BDFDB4000/other.dll"), b"");
    let search = in_folder(temp.path());
    let table = load(&module(), &search);
    assert_eq!(only(&table).quality, SymbolQuality::Exports);
    assert_eq!(only(&table).note, format!("exports of {}; the image names no PDB", path.display()));
    let name = |offset| table.name_of(Va(module().base.0 + offset)).map(|name| name.to_string());
    assert_eq!(name(0x1011).as_deref(), Some("small!plain+0x1"));
    assert_eq!(name(0x1040).as_deref(), Some("small!Class::method"));
    let progress = Progress::default();
    assert_eq!(find_image(&module(), &search, &progress), Ok(Some(path)));
    assert_eq!(find_image(&ModuleRecord { time_date_stamp: 5, ..module() }, &search, &progress), Ok(None));
}
