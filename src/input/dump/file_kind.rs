//! What a file is that is no user-mode minidump, so that the message can say what to do.

use std::fmt;

/// What the first bytes of a file say that it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    KernelDump,
    UserDumpBefore2000,
    BigEndianMinidump,
    UnknownMinidumpVersion,
    UmdhLog,
    Archive,
    Elf,
    PortableExecutable,
    Text,
    TooShort,
    Unknown,
}

/// Starts of files and what they mean. Longest match is not needed: no two start alike.
const SIGNATURES: [(&[u8], FileKind); 12] = [
    (b"PAGEDUMP", FileKind::KernelDump),
    (b"PAGEDU64", FileKind::KernelDump),
    (b"USERDUMP", FileKind::UserDumpBefore2000),
    (b"PMDM", FileKind::BigEndianMinidump),
    (b"// UMDH: version", FileKind::UmdhLog),
    (b"// Debug library initialized", FileKind::UmdhLog),
    (b"MSCF", FileKind::Archive),
    (b"PK\x03\x04", FileKind::Archive),
    (b"\x1f\x8b", FileKind::Archive),
    (b"7z\xbc\xaf", FileKind::Archive),
    (b"\x7fELF", FileKind::Elf),
    (b"MZ", FileKind::PortableExecutable),
];

/// Names the kind of a file from its first bytes; for a file that does not start with `MDMP` and a known version.
pub fn recognise(bytes: &[u8]) -> FileKind {
    let signature = SIGNATURES.iter().find(|(start, _)| bytes.starts_with(start));
    if let Some((_, kind)) = signature {
        return *kind;
    }
    if bytes.starts_with(b"MDMP") {
        return if bytes.len() < 32 { FileKind::TooShort } else { FileKind::UnknownMinidumpVersion };
    }
    let head = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let is_text = head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..=0xff));
    if is_text { FileKind::Text } else { FileKind::Unknown }
}

impl FileKind {
    /// The advice that goes with the kind.
    pub const fn what_to_do(self) -> &'static str {
        match self {
            Self::KernelDump => "open it with WinDbg, or take a process dump with: procdump -ma PID",
            Self::UserDumpBefore2000 => {
                "convert it with the dump tools of its time, or take a new one with: procdump -ma PID"
            }
            Self::BigEndianMinidump | Self::UnknownMinidumpVersion | Self::Unknown | Self::PortableExecutable => {
                "choose a .dmp, .mdmp or .hdmp file written by procdump, Task Manager or WinDbg"
            }
            Self::UmdhLog => "name a dump here; a UMDH log is read among the dumps of a series",
            Self::Archive => "unpack it first",
            Self::Elf => "dumptrend reads dumps of Windows processes only",
            Self::Text => "choose a .dmp, .mdmp or .hdmp file, or a UMDH log",
            Self::TooShort => "it is cut off, copy or take it again",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KernelDump => "a kernel dump",
            Self::UserDumpBefore2000 => "a user dump in the format before Windows XP",
            Self::BigEndianMinidump => "a minidump of a big-endian machine",
            Self::UnknownMinidumpVersion => "a minidump of a version that nobody documents",
            Self::UmdhLog => "a UMDH log",
            Self::Archive => "an archive",
            Self::Elf => "an ELF file",
            Self::PortableExecutable => "a program or library",
            Self::Text => "a text file",
            Self::TooShort => "only the first bytes of a minidump",
            Self::Unknown => "something else",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        assert_eq!(recognise(b"PAGEDU64\x0f\0"), FileKind::KernelDump);
        assert_eq!(recognise(b"// UMDH: version 6.1"), FileKind::UmdhLog);
        assert_eq!(recognise("Grüße\r\n".as_bytes()), FileKind::Text);
        assert_eq!(recognise(b"MDMP\x93\xa7"), FileKind::TooShort);
        assert_eq!(recognise(&[0, 1, 2, 3]), FileKind::Unknown);
    }
}
