//! Writes the AllocFree sample series and short series of other systems as real minidump files.
//!
//! Everything here is written from public descriptions of the formats, and on purpose apart from the decoders: no layout of
//! theirs is known, so that a wrong offset there cannot test itself.

pub mod address_space;
pub mod allocfree;
mod error;
pub mod heap_image;
pub mod heap_trace_log;
mod le_bytes;
pub mod minidump_file;
pub mod other_windows;
pub mod pe_image;
pub mod process_memory;
pub mod trace_database;
pub mod umdh_log;

pub use error::SampleError;
pub use le_bytes::{LeBytes, utf16_bytes};

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::progress::Progress;
use allocfree::figures::{CASE_A_MOMENT, CASE_A_RUN, Moment, ProcessRun, SERIES_MOMENTS, SERIES_RUN};
use heap_image::BuiltHeap;
use minidump_file::MinidumpFile;
use other_windows::{OtherMoment, OtherSystem, Story};
use umdh_log::UmdhLog;

/// Which sample to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Variant {
    #[default]
    Series,
    CaseA,
    SevenX86,
    TenX64,
    XpX86,
    HeapLeak,
    RegionLeak,
    Fluctuation,
    Original,
}

/// What a file is made from.
#[derive(Clone, Copy, Debug)]
enum Source {
    AllocFree(&'static ProcessRun, &'static Moment),
    Other(OtherSystem, &'static OtherMoment),
    /// A UMDH log of AllocFree, and its place in the series.
    Log(&'static ProcessRun, &'static Moment, usize),
    /// A UMDH log of the case before it was modelled.
    OriginalLog(&'static OtherMoment),
}

impl Variant {
    pub const ALL: [Self; 9] = [
        Self::Series,
        Self::CaseA,
        Self::SevenX86,
        Self::TenX64,
        Self::XpX86,
        Self::HeapLeak,
        Self::RegionLeak,
        Self::Fluctuation,
        Self::Original,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::CaseA => "case-a",
            Self::SevenX86 => "x86",
            Self::TenX64 => "win10",
            Self::XpX86 => "xp",
            Self::HeapLeak => "heap-leak",
            Self::RegionLeak => "region-leak",
            Self::Fluctuation => "fluctuation",
            Self::Original => "original",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.name() == name)
    }

    /// One line for help texts.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Series => {
                "six dumps of one run of AllocFree.exe, whose stack trace database fills up, and a UMDH log with each"
            }
            Self::CaseA => "one dump of another run, shortly after its start, at other addresses",
            Self::SevenX86 => "three dumps of AllocFree.exe on Windows 7 x86, with a 32-bit database",
            Self::TenX64 => "three dumps on Windows 10 x64, whose heap trace log grows by regions of 64 KiB",
            Self::XpX86 => "two dumps on Windows XP x86, with a database of its own layout and many stacks",
            Self::HeapLeak => "five dumps on Windows 10 x64, in which one heap leaks blocks that one stack allocates",
            Self::RegionLeak => "five dumps on Windows 10 x64, in which regions of one size gather and the heaps stay",
            Self::Fluctuation => "six dumps on Windows 10 x64, in which the blocks of a heap go up and down",
            Self::Original => {
                "four dumps from 200 MB to 3.9 GB, each with a UMDH log: thousands of regions of 64 KiB, many busy threads"
            }
        }
    }

    /// The dumps with the names of their files, in time order, then the logs.
    fn files(self) -> Vec<(String, Source)> {
        let others = |name: &str, system, moments: &'static [OtherMoment]| -> Vec<(String, Source)> {
            (1..).zip(moments).map(|(n, m)| (format!("{name}-{n}.dmp"), Source::Other(system, m))).collect()
        };
        match self {
            Self::Series => {
                let numbered = || (1_usize..).zip(&SERIES_MOMENTS);
                let dumps = numbered().map(|(n, m)| (format!("allocfree-{n}.dmp"), Source::AllocFree(&SERIES_RUN, m)));
                let logs = numbered().map(|(n, m)| (format!("allocfree-{n}.log"), Source::Log(&SERIES_RUN, m, n - 1)));
                dumps.chain(logs).collect()
            }
            Self::CaseA => {
                vec![("allocfree-case-a.dmp".to_owned(), Source::AllocFree(&CASE_A_RUN, &CASE_A_MOMENT))]
            }
            Self::SevenX86 => others("allocfree-x86", OtherSystem::SevenX86, &other_windows::SEVEN_X86_MOMENTS),
            Self::TenX64 => others("treereader-win10", OtherSystem::TenX64, &other_windows::TEN_X64_MOMENTS),
            Self::Original => {
                let logs = (1..).zip(&other_windows::ORIGINAL_MOMENTS);
                let logs = logs.map(|(n, m)| (format!("docserver-{n}.log"), Source::OriginalLog(m)));
                let mut files = others("docserver", OtherSystem::Original, &other_windows::ORIGINAL_MOMENTS);
                files.extend(logs);
                files
            }
            Self::XpX86 => others("treereader-xp", OtherSystem::XpX86, &other_windows::XP_X86_MOMENTS),
            Self::HeapLeak => {
                others("heap-leak", OtherSystem::OrderServer(Story::HeapLeak), &other_windows::HEAP_LEAK_MOMENTS)
            }
            Self::RegionLeak => {
                others("region-leak", OtherSystem::OrderServer(Story::RegionLeak), &other_windows::REGION_LEAK_MOMENTS)
            }
            Self::Fluctuation => {
                others("fluctuation", OtherSystem::OrderServer(Story::Fluctuation), &other_windows::FLUCTUATION_MOMENTS)
            }
        }
    }
}

/// The truth about the heaps in the dumps of `variant`: for each dump in time order, its heaps in the order of the PEB's array.
pub fn built_heaps(variant: Variant) -> Result<Vec<Vec<BuiltHeap>>, SampleError> {
    let heaps_of = |source| match source {
        Source::AllocFree(run, moment) => Some(allocfree::built_heaps(run, moment)),
        Source::Other(system, moment) => Some(other_windows::built_heaps(system, moment)),
        Source::Log(..) | Source::OriginalLog(_) => None,
    };
    variant.files().into_iter().filter_map(|(_, source)| heaps_of(source)).collect()
}

/// How to write the sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SampleOptions {
    pub variant: Variant,
    /// Makes each file at least this large, for benchmarks: a private region is added whose bytes are a hole in the file, so
    /// that on file systems with sparse files it costs neither time nor room.
    pub size_bytes_per_dump: Option<u64>,
}

/// Writes dumps and logs into `folder`, which is created when it is not there, and returns their paths: the dumps in time
/// order, then the logs.
///
/// Each file appears under its name only when it is whole. One step of progress a file; a cancel takes effect between files.
pub fn write_sample(folder: &Path, options: &SampleOptions, progress: &Progress) -> Result<Vec<PathBuf>, SampleError> {
    fs::create_dir_all(folder).map_err(|source| SampleError::CreateFolder { path: folder.to_owned(), source })?;
    let files = options.variant.files();
    progress.start("Writing the sample", files.len() as u64);
    let mut paths = Vec::with_capacity(files.len());
    for (file_name, source) in files {
        progress.check()?;
        let path = folder.join(file_name);
        let write_dump = |file: &MinidumpFile| write_whole(&path, |partial| file.write_to(partial));
        let write_log = |log: &UmdhLog| {
            write_whole(&path, |partial| {
                fs::write(partial, log.text())
                    .map_err(|source| SampleError::WriteFile { path: partial.to_owned(), source })
            })
        };
        match source {
            Source::AllocFree(run, moment) => write_dump(&allocfree::dump(run, moment, options.size_bytes_per_dump)?),
            Source::Other(system, moment) => {
                write_dump(&other_windows::dump(system, moment, options.size_bytes_per_dump)?)
            }
            Source::Log(run, moment, position) => write_log(&umdh_log::allocfree_log(run, moment, position)),
            Source::OriginalLog(moment) => write_log(&other_windows::original_log(moment)),
        }?;
        paths.push(path);
        progress.tick(1)?;
    }
    Ok(paths)
}

/// Writes under another name in the same folder, then renames: whoever looks sees the whole file or none.
fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<(), SampleError>) -> Result<(), SampleError> {
    // Two programs may write the sample at once; whoever renames last wins, and both files are whole.
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = path.with_extension(format!("{extension}.{}.partial", std::process::id()));
    let written = write(&partial).and_then(|()| {
        fs::rename(&partial, path).map_err(|source| SampleError::RenameFile {
            from: partial.clone(),
            to: path.to_owned(),
            source,
        })
    });
    if written.is_err() {
        // The first error is the one to tell.
        fs::remove_file(&partial).ok();
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_series_has_six_dumps_and_logs_in_time_order() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("new folder");
        let paths = write_sample(&inner, &SampleOptions::default(), &Progress::default()).unwrap();
        let names: Vec<_> =
            (1..=6).flat_map(|number| [format!("allocfree-{number}.dmp"), format!("allocfree-{number}.log")]).collect();
        assert_eq!(file_names(&inner), names);
        assert_eq!(paths.len(), 12);
        let total: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(total < 400 << 20);
    }

    #[test]
    fn a_dump_can_be_made_large() {
        let folder = tempfile::tempdir().unwrap();
        let options = SampleOptions { variant: Variant::CaseA, size_bytes_per_dump: Some(64 << 20) };
        let paths = write_sample(folder.path(), &options, &Progress::default()).unwrap();
        let size = fs::metadata(&paths[0]).unwrap().len();
        assert!((64 << 20..65 << 20).contains(&size), "{size}");
    }

    #[test]
    fn a_cancel_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress::default();
        progress.cancel();
        let result = write_sample(folder.path(), &SampleOptions::default(), &progress);
        assert!(matches!(result, Err(SampleError::Cancelled)));
        assert!(file_names(folder.path()).is_empty());
    }

    #[test]
    fn a_failed_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        // A folder in the way of the first file.
        fs::create_dir_all(folder.path().join("allocfree-1.dmp").join("x")).unwrap();
        let result = write_sample(folder.path(), &SampleOptions::default(), &Progress::default());
        assert!(matches!(result, Err(SampleError::RenameFile { .. })));
        assert_eq!(file_names(folder.path()), ["allocfree-1.dmp"]);
    }

    #[test]
    fn names_of_variants_read_back() {
        for variant in Variant::ALL {
            assert_eq!(Variant::parse(variant.name()), Some(variant));
        }
        assert_eq!(Variant::parse("other"), None);
    }
}
