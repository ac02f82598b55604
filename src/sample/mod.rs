//! Writes the AllocFree sample series as real minidump files.
//!
//! Everything here is written from public descriptions of the formats, and on purpose apart from the decoders: no layout of
//! theirs is known, so that a wrong offset there cannot test itself.

pub mod address_space;
pub mod allocfree;
mod error;
mod le_bytes;
pub mod minidump_file;
pub mod pe_image;
pub mod process_memory;

pub use error::SampleError;
pub use le_bytes::{LeBytes, utf16_bytes};

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::progress::Progress;
use allocfree::figures::{CASE_A_MOMENT, CASE_A_RUN, Moment, ProcessRun, SERIES_MOMENTS, SERIES_RUN};
use minidump_file::MinidumpFile;

/// Which sample to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Variant {
    #[default]
    Series,
    CaseA,
}

impl Variant {
    pub const ALL: [Self; 2] = [Self::Series, Self::CaseA];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::CaseA => "case-a",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.name() == name)
    }

    /// One line for help texts.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Series => "six dumps of one run of AllocFree.exe, whose stack trace database fills up",
            Self::CaseA => "one dump of another run, shortly after its start, at other addresses",
        }
    }

    /// The dumps with the names of their files, in time order.
    fn dumps(self) -> Vec<(String, &'static ProcessRun, &'static Moment)> {
        match self {
            Self::Series => {
                (1..).zip(&SERIES_MOMENTS).map(|(n, m)| (format!("allocfree-{n}.dmp"), &SERIES_RUN, m)).collect()
            }
            Self::CaseA => vec![("allocfree-case-a.dmp".to_owned(), &CASE_A_RUN, &CASE_A_MOMENT)],
        }
    }
}

/// How to write the sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SampleOptions {
    pub variant: Variant,
    /// Makes each file at least this large, for benchmarks: a private region is added whose bytes are a hole in the file, so
    /// that on file systems with sparse files it costs neither time nor room.
    pub size_bytes_per_dump: Option<u64>,
}

/// Writes the dumps into `folder`, which is created when it is not there, and returns their paths in time order.
///
/// Each file appears under its name only when it is whole. One step of progress a dump; a cancel takes effect between dumps.
pub fn write_sample(folder: &Path, options: &SampleOptions, progress: &Progress) -> Result<Vec<PathBuf>, SampleError> {
    fs::create_dir_all(folder).map_err(|source| SampleError::CreateFolder { path: folder.to_owned(), source })?;
    let dumps = options.variant.dumps();
    progress.start("Writing the sample", dumps.len() as u64);
    let mut paths = Vec::with_capacity(dumps.len());
    for (file_name, run, moment) in dumps {
        progress.check()?;
        let path = folder.join(file_name);
        let file = allocfree::dump(run, moment, options.size_bytes_per_dump)?;
        write_whole(&file, &path)?;
        paths.push(path);
        progress.tick(1)?;
    }
    Ok(paths)
}

/// Writes under another name in the same folder, then renames: whoever looks sees the whole file or none.
fn write_whole(file: &MinidumpFile, path: &Path) -> Result<(), SampleError> {
    // Two programs may write the sample at once; whoever renames last wins, and both files are whole.
    let partial = path.with_extension(format!("dmp.{}.partial", std::process::id()));
    let written = file.write_to(&partial).and_then(|()| {
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
    fn the_series_has_six_whole_files_in_time_order() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("new folder");
        let paths = write_sample(&inner, &SampleOptions::default(), &Progress::default()).unwrap();
        let names: Vec<_> = (1..=6).map(|number| format!("allocfree-{number}.dmp")).collect();
        assert_eq!(file_names(&inner), names);
        assert_eq!(paths.len(), 6);
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
