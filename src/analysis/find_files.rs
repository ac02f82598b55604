//! Which files are meant by what was named: dumps and logs, by themselves or as all those in a folder.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Component, Path, PathBuf, Prefix};

use crate::base::printable::printable_path;
use crate::input::umdh;

use super::capsule::is_capsule;
use super::{Failure, Note};

/// The extensions of dump files, in lower case.
pub const DUMP_EXTENSIONS: [&str; 3] = ["dmp", "mdmp", "hdmp"];

/// The extensions that UMDH logs in a folder have. Whether such a file is a log, its first lines say.
pub const LOG_EXTENSIONS: [&str; 2] = ["log", "txt"];

/// The files to open.
#[derive(Default)]
pub(super) struct FoundFiles {
    pub dumps: Vec<PathBuf>,
    pub logs: Vec<PathBuf>,
    /// Those that were named; in a folder a capsule lies beside the dumps that it was made of.
    pub capsules: Vec<PathBuf>,
    pub failures: Vec<Failure>,
    pub notes: Vec<Note>,
}

/// A folder stands for every dump and every UMDH log in it, but not for those in its sub-folders. What is named and is no
/// log is taken for a dump; opening it says what it is instead.
pub(super) fn find_files(inputs: &[PathBuf]) -> FoundFiles {
    let mut found = FoundFiles::default();
    let mut seen = BTreeSet::new();
    let mut count_on_network = 0;
    for input in inputs {
        let files = if input.is_dir() { files_in_folder(input, &mut found.failures) } else { vec![input.clone()] };
        for file in files {
            let canonical = file.canonicalize().unwrap_or_else(|_| file.clone());
            let is_far = is_on_network(&canonical);
            if !seen.insert(canonical) {
                let text = format!("named more than once and used once: {}", printable_path(&file));
                found.notes.push(Note { text, dumps: Vec::new() });
                continue;
            }
            count_on_network += usize::from(is_far);
            let head = head_of(&file);
            if umdh::is_log(&head) {
                found.logs.push(file);
            } else if is_capsule(&head) {
                found.capsules.push(file);
            } else {
                found.dumps.push(file);
            }
        }
    }
    if count_on_network > 0 {
        let files = if count_on_network == 1 { "a file lies" } else { "files lie" };
        let text = format!(
            "{files} on a network share and will be read for as long as you look: should its connection break, dumptrend ends; \
             copy to a local disk first where that may happen"
        );
        found.notes.push(Note { text, dumps: Vec::new() });
    }
    found
}

/// A canonical path of Windows names the share, also where a drive letter stands for it.
fn is_on_network(canonical: &Path) -> bool {
    match canonical.components().next() {
        Some(Component::Prefix(prefix)) => matches!(prefix.kind(), Prefix::VerbatimUNC(..)),
        _ => false,
    }
}

fn files_in_folder(folder: &Path, failures: &mut Vec<Failure>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let text = format!("cannot be listed: {error}; check that you may read it: {}", printable_path(folder));
            failures.push(Failure { path: folder.to_owned(), text });
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if is_wanted(&entry.path()) => files.push(entry.path()),
            Ok(_) => {}
            Err(error) => {
                let text = format!("cannot be listed to its end: {error}: {}", printable_path(folder));
                failures.push(Failure { path: folder.to_owned(), text });
                break;
            }
        }
    }
    files.sort();
    if files.is_empty() {
        let text = format!(
            "holds no .dmp, .mdmp or .hdmp file and no UMDH log; choose the folder with the dumps: {}",
            printable_path(folder)
        );
        failures.push(Failure { path: folder.to_owned(), text });
    }
    files
}

/// As much of a file as tells what it is; nothing of one that cannot be read.
fn head_of(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    // Opening a pipe would wait for somebody to write to it.
    if !path.is_file() {
        return head;
    }
    let read = std::fs::File::open(path).and_then(|file| file.take(umdh::HEAD_BYTES as u64).read_to_end(&mut head));
    read.map_or_else(|_| Vec::new(), |_| head)
}

/// A text in a folder that is no log is none of our business.
fn is_wanted(path: &Path) -> bool {
    has_extension(path, &DUMP_EXTENSIONS) && !path.is_dir()
        || has_extension(path, &LOG_EXTENSIONS) && umdh::is_log(&head_of(path))
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamePart {
    Number(u128),
    Text(String),
}

/// Sorts names with numbers by value, so that dump-10 follows dump-9.
pub(super) fn natural_key(name: &str) -> Vec<NamePart> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        // A number too long for 128 bits sorts as text.
        let part = part
            .parse()
            .ok()
            .filter(|_| is_number)
            .map_or_else(|| NamePart::Text(part.to_lowercase()), NamePart::Number);
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_with_numbers_by_value() {
        let mut names = ["dump-10.dmp", "dump-9.dmp", "Dump-1.dmp"];
        names.sort_by_cached_key(|name| natural_key(name));
        assert_eq!(names, ["Dump-1.dmp", "dump-9.dmp", "dump-10.dmp"]);
    }
}
