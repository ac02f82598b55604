//! The case capsule: everything that was analysed, as one small file that opens again as the same session without the dumps.
//!
//! It is JSON under gzip, so that whoever sends one can see with common tools what is in it: a line with the form, then the
//! analysis. What may hold a secret is left out where its type is defined (`#[serde(skip)]`): memory, command lines,
//! environments, names of objects; and folders, by `leave_out`. Findings are not in it either: they are judged anew from the same
//! facts, for whatever interval is looked at.
//!
//! **Invariant:** what is read takes memory in proportion to the file, and its texts are as safe to show as a dump's.

mod leave_out;
mod safe_text;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

use crate::base::progress::{Cancelled, Progress};
use crate::base::version::VERSION;

use super::{Analysis, Note};

/// The extension of a capsule's file.
pub const EXTENSION: &str = "dumptrend";

/// Raised when a capsule of before cannot be read any more.
const FORM: u32 = 1;
const MARK: &str = "{\"dumptrend_capsule\":";
/// The head is one short line.
const MOST_HEAD_BYTES: u64 = 1 << 10;
/// JSON of tables shrinks to a twentieth or less; what shrinks much more is made to fill memory.
const MOST_EXPANSION: u64 = 100;
/// What a small file may expand to.
const SMALL_TEXT_BYTES: u64 = 64 << 20;
/// Between two looks at whether to go on.
const STEP_BYTES: usize = 1 << 20;

/// Where an analysis came from that was not made from dumps here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapsuleSource {
    pub path: PathBuf,
    /// The version of dumptrend that wrote it.
    pub made_by: String,
}

#[derive(Serialize, Deserialize)]
struct Head {
    dumptrend_capsule: u32,
    made_by: String,
}

/// Why a capsule could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CapsuleError {
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error("cannot be read: {0}; check that the file is still there and that you may read it")]
    Io(#[from] io::Error),
    #[error(
        "is a case capsule of form {form} by dumptrend {made_by}, and this is {VERSION}, which reads form {FORM}; open it with that version, or the dumps"
    )]
    OtherForm { form: u32, made_by: String },
    #[error("is a damaged case capsule: {0}; ask for the file again")]
    Damaged(String),
}

/// Whether a file that begins so is a capsule.
pub fn is_capsule(bytes: &[u8]) -> bool {
    let mut mark = [0; MARK.len()];
    MultiGzDecoder::new(bytes).read_exact(&mut mark).is_ok() && mark == *MARK.as_bytes()
}

/// Writes the analysis. Bytes depend on the analysis and the version alone.
///
/// # Errors
/// When cancelled, and when it cannot be written.
pub fn write_capsule(analysis: &Analysis, progress: &Progress, out: impl Write) -> Result<(), CapsuleError> {
    progress.start("writing the case capsule", 0);
    let kept = leave_out::for_sending(analysis);
    let packed: GzEncoder<_> = GzBuilder::new().mtime(0).write(out, Compression::default());
    let mut out = Watched { inner: packed, progress };
    let written = write_json(&kept, &mut out);
    // Cancelled or not, serde tells it as a failure to write.
    progress.check()?;
    written?;
    out.inner.finish()?;
    Ok(())
}

fn write_json(analysis: &Analysis, out: &mut impl Write) -> Result<(), io::Error> {
    let head = Head { dumptrend_capsule: FORM, made_by: VERSION.to_owned() };
    let mut out = io::BufWriter::with_capacity(STEP_BYTES, out);
    serde_json::to_writer(&mut out, &head)?;
    out.write_all(b"\n")?;
    serde_json::to_writer(&mut out, analysis)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Reads a capsule. `path` is where it came from, for messages.
///
/// # Errors
/// When cancelled, when it is damaged or cut off, and when another version's form is not this one's.
pub fn read_capsule(path: PathBuf, bytes: &[u8], progress: &Progress) -> Result<Analysis, CapsuleError> {
    progress.start("opening the case capsule", 0);
    read_text(path, unpack(bytes, progress)?, progress)
}

/// Reads what is under the gzip.
pub(super) fn read_text(path: PathBuf, text: String, progress: &Progress) -> Result<Analysis, CapsuleError> {
    let (head, body) = text.split_once('\n').ok_or_else(|| CapsuleError::Damaged("it has no head".to_owned()))?;
    if head.len() as u64 > MOST_HEAD_BYTES {
        return Err(CapsuleError::Damaged("its head is too long".to_owned()));
    }
    let damaged = |error: serde_json::Error| CapsuleError::Damaged(error.to_string());
    let head: Head = serde_json::from_str(&safe_text::safe_json(head)).map_err(damaged)?;
    if head.dumptrend_capsule != FORM {
        return Err(CapsuleError::OtherForm { form: head.dumptrend_capsule, made_by: head.made_by });
    }
    progress.check()?;
    let body = safe_text::safe_json(body);
    // Only one of the two texts stays while the third form of the same is made.
    drop(text);
    progress.check()?;
    let mut analysis: Analysis = serde_json::from_str(&body).map_err(damaged)?;
    progress.check()?;
    if !leave_out::fits_together(&analysis) {
        return Err(CapsuleError::Damaged("its parts do not fit together".to_owned()));
    }
    analysis.notes.insert(0, note(&head.made_by));
    analysis.capsule = Some(CapsuleSource { path, made_by: head.made_by });
    Ok(analysis)
}

fn note(made_by: &str) -> Note {
    let text = format!(
        "from a case capsule of dumptrend {made_by}: the dumps themselves have memory, command line and environment, which \
         are not in it"
    );
    Note { text, dumps: Vec::new() }
}

/// The text in a capsule, as long as its size fits the file's.
fn unpack(bytes: &[u8], progress: &Progress) -> Result<String, CapsuleError> {
    let most_bytes = (bytes.len() as u64).saturating_mul(MOST_EXPANSION).saturating_add(SMALL_TEXT_BYTES);
    let mut text = Vec::new();
    let mut source = MultiGzDecoder::new(bytes).take(most_bytes.saturating_add(1));
    let cut = |error: io::Error| CapsuleError::Damaged(error.to_string());
    loop {
        progress.check()?;
        let step = (&mut source).take(STEP_BYTES as u64).read_to_end(&mut text).map_err(cut)?;
        if step == 0 {
            break;
        }
    }
    if text.len() as u64 > most_bytes {
        return Err(CapsuleError::Damaged(format!("it expands to more than {most_bytes} bytes")));
    }
    String::from_utf8(text).map_err(|error| CapsuleError::Damaged(error.to_string()))
}

/// Stops between two pieces when the user cancels.
struct Watched<'p, W> {
    inner: W,
    progress: &'p Progress,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.progress.check().map_err(io::Error::other)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
