//! Names from a dump made safe to look for: whatever a dump calls a file, only a file of the folder searched is opened.

use std::path::{Path, PathBuf};

use crate::base::printable::file_name;

/// Longest name that a file can have on the usual file systems.
const MAX_NAME_BYTES: usize = 255;

/// The last part of a path in a dump, if it can be the name of a file in any folder on any system: no separator, drive or
/// stream, no `.` or `..`, no device of DOS, no character that a name cannot have, no end that Windows cuts off.
pub fn safe_file_name(path: &str) -> Option<&str> {
    let name = file_name(path);
    let is_bad_char =
        |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '\u{fffd}');
    let has_bad_end = name.ends_with(['.', ' ']) || name.starts_with(' ');
    let is_safe = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !has_bad_end
        && !name.chars().any(is_bad_char)
        && !is_dos_device(name);
    is_safe.then_some(name)
}

/// Whether Windows takes a name for a device, whatever its extension.
fn is_dos_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let is_numbered = |port: &str| {
        stem.strip_prefix(port).is_some_and(|number| {
            let mut digits = number.chars();
            // Windows knows superscript digits too.
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(&stem[..], "CON" | "PRN" | "AUX" | "NUL" | "CLOCK$" | "CONIN$" | "CONOUT$")
        || is_numbered("COM")
        || is_numbered("LPT")
}

/// The folder of an image on this machine, from its path in the dump. `None` for a path that would ask another machine, a
/// device, or a folder other than it says: a share in a dump must not make this machine log in there.
pub fn local_folder(path: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = path.split(['\\', '/']).collect();
    let (root, folders) = match &parts[..] {
        [drive, folders @ .., _name] if cfg!(windows) && is_drive(drive) => (format!("{drive}\\"), folders),
        ["", folders @ .., _name] if !cfg!(windows) && path.starts_with('/') && !path.contains('\\') => {
            ("/".to_owned(), folders)
        }
        _ => return None,
    };
    let mut folder = PathBuf::from(root);
    for part in folders {
        folder.push(safe_file_name(part)?);
    }
    Some(folder)
}

fn is_drive(text: &str) -> bool {
    let mut chars = text.chars();
    matches!((chars.next(), chars.next(), chars.next()), (Some(letter), Some(':'), None) if letter.is_ascii_alphabetic())
}

/// The spellings under which a file system that tells case apart may hold what Windows wrote.
pub fn with_case_variants(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut paths = vec![folder.join(name)];
    let lower = name.to_lowercase();
    if !cfg!(windows) && lower != name {
        paths.push(folder.join(lower));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_kept() {
        for (path, name) in [
            (r"C:\Windows\System32\ntdll.dll", "ntdll.dll"),
            ("ntdll.pdb", "ntdll.pdb"),
            (r"d:\a\..\b\My Program (2).pdb", "My Program (2).pdb"),
            ("Grüße.exe", "Grüße.exe"),
            ("console.dll", "console.dll"),
            ("com10.dll", "com10.dll"),
        ] {
            assert_eq!(safe_file_name(path), Some(name), "{path}");
        }
    }

    #[test]
    fn hostile_names_are_none() {
        let long = "x".repeat(300);
        for path in [
            "",
            ".",
            "..",
            r"C:\x\..",
            "a/..",
            "a.pdb.",
            "a.pdb ",
            " a.pdb",
            "con",
            "NUL.pdb",
            "aux .pdb",
            "COM1.dll",
            "lpt².x",
            "a:b.pdb",
            r"C:",
            "a\0b",
            "a\nb.pdb",
            "a*b",
            "what?.pdb",
            "a|b",
            "<name not readable>",
            &long,
        ] {
            assert_eq!(safe_file_name(path), None, "{path:?}");
        }
    }

    #[test]
    fn no_folder_of_another_machine_is_opened() {
        for path in [
            r"\\evil\share\x.dll",
            "//evil/share/x.dll",
            r"\\?\C:\x\y.dll",
            r"\\.\pipe\x",
            r"C:x.dll",
            "x.dll",
            r"\Windows\x.dll",
            r"C:\a\..\b\x.dll",
            r"C:\nul\x.dll",
            "/a/../b/x.dll",
            "/a\\b/x.dll",
            "",
        ] {
            assert_eq!(local_folder(path), None, "{path:?}");
        }
        if cfg!(windows) {
            assert_eq!(local_folder(r"C:\a\b\x.dll"), Some(PathBuf::from(r"C:\a\b")));
        } else {
            assert_eq!(local_folder("/a/b/x.dll"), Some(PathBuf::from("/a/b")));
            assert_eq!(local_folder(r"C:\a\b\x.dll"), None);
        }
    }
}
