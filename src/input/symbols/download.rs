//! A file of a module from a symbol server into a store: asked for in each of its forms, looked at, and kept only when it is
//! what was asked for. It is written beside its place first and appears there whole.
//!
//! | asked for | what it is |
//! |---|---|
//! | `name.pdb/ID/name.pdb` | the file |
//! | `name.pdb/ID/name.pd_` | the file in a cabinet; kept unpacked, as the debuggers do |
//! | `name.pdb/ID/file.ptr` | where else the file lies, which is told and not followed |

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::bytes;
use crate::base::printable::{printable, printable_path};
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::mapping::Mapping;

use super::compressed::unpack;
use super::search::Target;
use super::server::{Answer, SymbolServers};

/// A pointer file holds one path.
const MOST_POINTER_BYTES: usize = 4096;

/// What came of asking one server.
pub(super) enum Downloaded<T> {
    /// The file lies in the store now.
    Kept {
        path: PathBuf,
        value: T,
    },
    NotThere,
    Refused(String),
    Silent(String),
}

/// Which file to get, from where, into which store.
pub(super) struct Download<'a> {
    pub servers: &'a SymbolServers,
    pub url: &'a str,
    pub store: &'a Path,
    pub target: &'a Target,
}

/// Whether a file is the one that was asked for, and what it gives; the reason reads on after its name.
pub(super) type Verify<'a, T> = &'a dyn Fn(&Path) -> Result<Result<T, String>, Cancelled>;

impl Download<'_> {
    /// Asks for the file.
    pub fn run<T>(&self, verify: Verify<'_, T>, progress: &Progress) -> Result<Downloaded<T>, Cancelled> {
        let name = self.target.name();
        let mut packed = name.to_owned();
        packed.pop();
        packed.push('_');
        for (form, file) in [(Form::Plain, name), (Form::Packed, packed.as_str())] {
            match self.get_form(form, file, verify, progress)? {
                Downloaded::NotThere => {}
                other => return Ok(other),
            }
        }
        self.get_pointer(progress)
    }

    fn address(&self, file: &str) -> String {
        [self.target.name(), self.target.server_id(), file].map(percent_encoded).join("/")
    }

    fn get_form<T>(
        &self,
        form: Form,
        file: &str,
        verify: Verify<'_, T>,
        progress: &Progress,
    ) -> Result<Downloaded<T>, Cancelled> {
        let mut part = Part::new(self.store);
        let answer = self.servers.ask(self.url, &self.address(file), file, &mut |bytes| part.write(bytes), progress)?;
        match answer {
            Answer::File => {}
            Answer::NotThere => return Ok(Downloaded::NotThere),
            Answer::Refused(why) => return Ok(Downloaded::Refused(format!("{file}: {why}"))),
            Answer::Silent(why) => return Ok(Downloaded::Silent(why)),
        }
        let whole = part.finish().map_err(|error| format!("cannot be written: {error}")).and_then(|()| match form {
            Form::Plain => Ok(part),
            Form::Packed => part.unpacked(self.store),
        });
        let part = match whole {
            Ok(part) => part,
            Err(why) => return Ok(Downloaded::Refused(format!("{file}: {why}"))),
        };
        if begins_as_page(&part.path) {
            let why = "a web page came instead of the file: does a proxy or the server want you to sign in?";
            return Ok(Downloaded::Refused(format!("{file}: {why}")));
        }
        let value = match verify(&part.path)? {
            Ok(value) => value,
            Err(why) => return Ok(Downloaded::Refused(format!("the {file} that came {why}"))),
        };
        let folder = self.store.join(self.target.name()).join(self.target.server_id());
        let path = folder.join(self.target.name());
        let kept = part.keep(&folder, &path);
        let Err(error) = kept else { return Ok(Downloaded::Kept { path, value }) };
        // A debugger may have brought the same file meanwhile, and have it open: then it cannot be replaced, nor need it be.
        if path.is_file()
            && let Ok(value) = verify(&path)?
        {
            return Ok(Downloaded::Kept { path, value });
        }
        Ok(Downloaded::Refused(format!("{file}: cannot be kept in {}: {error}", printable_path(&folder))))
    }

    /// Servers that are folders of a store may have a file that says where the other one lies.
    fn get_pointer<T>(&self, progress: &Progress) -> Result<Downloaded<T>, Cancelled> {
        let mut text = Vec::new();
        let mut take = |bytes: &[u8]| {
            if text.len().saturating_add(bytes.len()) > MOST_POINTER_BYTES {
                return Err(io::Error::other("too long for a pointer file"));
            }
            text.extend_from_slice(bytes);
            Ok(())
        };
        let answer = self.servers.ask(self.url, &self.address(POINTER_NAME), POINTER_NAME, &mut take, progress)?;
        Ok(match answer {
            Answer::File => Downloaded::Refused(pointer_text(&text)),
            Answer::NotThere => Downloaded::NotThere,
            Answer::Refused(why) => Downloaded::Refused(format!("{POINTER_NAME}: {why}")),
            Answer::Silent(why) => Downloaded::Silent(why),
        })
    }
}

/// In a store, beside or instead of the file itself.
pub(super) const POINTER_NAME: &str = "file.ptr";

/// What a pointer file says: `PATH:\\server\share\name.pdb`, or `MSG:` and a text. Older ones hold the path alone.
pub(super) fn pointer_text(file: &[u8]) -> String {
    let text = printable(String::from_utf8_lossy(bytes::available_at(file, 0, MOST_POINTER_BYTES as u64)).trim());
    match text.strip_prefix("MSG:") {
        Some(message) => format!("{POINTER_NAME} says: {}", message.trim()),
        None => {
            let path = text.strip_prefix("PATH:").unwrap_or(&text).trim();
            format!("{POINTER_NAME} points at {path}, which is not followed; name that folder in the symbol path")
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Packed,
}

/// A file that is being written; gone when it is not kept.
struct Part {
    path: PathBuf,
    /// Opened with the first bytes: what is not there leaves no trace.
    file: Option<File>,
}

impl Part {
    fn new(store: &Path) -> Self {
        /// Several files come at once.
        static PARTS: AtomicU64 = AtomicU64::new(0);
        let number = PARTS.fetch_add(1, Ordering::Relaxed);
        Self { path: store.join(format!("dumptrend-{}-{number}.part", std::process::id())), file: None }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                if let Some(store) = self.path.parent() {
                    fs::create_dir_all(store)?;
                }
                empty.insert(File::create_new(&self.path)?)
            }
        };
        file.write_all(bytes)
    }

    /// An empty answer makes an empty file, of which the reason is told like that of any other.
    fn finish(&mut self) -> io::Result<()> {
        self.write(&[])?;
        self.file.take().map_or(Ok(()), |file| file.sync_all())
    }

    fn unpacked(&self, store: &Path) -> Result<Self, String> {
        let cabinet = Mapping::open(&self.path).map_err(|error| format!("cannot be opened: {error}"))?;
        let bytes = unpack(&cabinet).map_err(|error| error.to_string())?;
        let mut whole = Self::new(store);
        let written = whole.write(&bytes).and_then(|()| whole.finish());
        written.map(|()| whole).map_err(|error| format!("cannot be written: {error}"))
    }

    fn keep(self, folder: &Path, path: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::rename(&self.path, path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.file = None;
        // It may never have been made, or be in its place by now.
        drop(fs::remove_file(&self.path));
    }
}

/// Proxies send pages with any type and status.
fn begins_as_page(path: &Path) -> bool {
    let Ok(file) = Mapping::open(path) else { return false };
    let head = bytes::available_at(&file, 0, 256).trim_ascii_start();
    head.first() == Some(&b'<')
}

/// A name as a part of an address.
fn percent_encoded(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    name.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_of_addresses() {
        assert_eq!(percent_encoded("ntdll.pdb"), "ntdll.pdb");
        assert_eq!(percent_encoded("a b#?%/ü&"), "a%20b%23%3F%25%2F%C3%BC%26");
    }

    #[test]
    fn pointer_files_are_told() {
        assert!(pointer_text(b"PATH:\\\\s\\x\\a.pdb\r\n").starts_with(r"file.ptr points at \\s\x\a.pdb, which"));
        assert!(pointer_text(b"\\\\s\\a.pdb").starts_with(r"file.ptr points at \\s\a.pdb, which"));
        assert_eq!(pointer_text(b"MSG: ask\nBob"), "file.ptr says: ask\u{fffd}Bob");
    }
}
