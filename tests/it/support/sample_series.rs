//! The sample series, written once for all tests that look at it at the same time, and removed with the last of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dumptrend::analysis::Analysis;
use dumptrend::analysis::run::{decode_heaps, decode_traces, join_blocks_and_stacks, run};
use dumptrend::base::progress::Progress;
use dumptrend::sample::{SampleOptions, Variant, write_sample};
use tempfile::TempDir;

/// Six dumps in a folder, and what the pipeline makes of them.
pub struct SampleSeries {
    folder: TempDir,
    pub analysis: Arc<Analysis>,
}

impl SampleSeries {
    /// The folder; only for looking.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

static SERIES: Mutex<Weak<SampleSeries>> = Mutex::new(Weak::new());

pub fn sample_series() -> Arc<SampleSeries> {
    let mut shared = SERIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(series) = shared.upgrade() {
        return series;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), SampleOptions::default());
    let analysis = Arc::new(analyse(&[folder.path().to_owned()]));
    let series = Arc::new(SampleSeries { folder, analysis });
    *shared = Arc::downgrade(&series);
    series
}

pub fn write(folder: &Path, options: SampleOptions) -> Vec<PathBuf> {
    write_sample(folder, &options, &Progress::default()).expect("the sample is written")
}

/// Of the files of a sample, the dumps.
pub fn write_dumps(folder: &Path, variant: Variant) -> Vec<PathBuf> {
    let mut files = write(folder, SampleOptions { variant, size_bytes_per_dump: None });
    files.retain(|file| file.extension().is_some_and(|end| end == "dmp"));
    files
}

pub fn analyse(inputs: &[PathBuf]) -> Analysis {
    run(inputs, &Progress::default()).expect("nobody cancels")
}

/// The one dump of the variant with dump A's sizes. Its file stays mapped after the folder is gone.
pub fn case_a() -> Analysis {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write(folder.path(), SampleOptions { variant: Variant::CaseA, size_bytes_per_dump: None });
    analyse(&files)
}

/// A variant with its traces and heaps decoded, and both joined. Its files stay mapped after the folder is gone.
pub fn decoded(variant: Variant) -> Arc<Analysis> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = write_dumps(folder.path(), variant);
    Arc::new(decode_all(&analyse(&files)))
}

/// Traces and heaps decoded, and both joined, as the window does it one after the other.
pub fn decode_all(analysis: &Analysis) -> Analysis {
    let progress = Progress::default();
    let stages = [decode_traces, decode_heaps, join_blocks_and_stacks];
    stages.into_iter().fold(analysis.clone(), |analysis, stage| stage(&analysis, &progress).expect("not cancelled"))
}
