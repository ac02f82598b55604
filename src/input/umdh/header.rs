//! What stands before the data: version, time, machine and process, and the modules, in both forms.

use serde::{Deserialize, Serialize};

use crate::base::addr::{Va, VaRange};
use crate::base::printable::{file_name, printable};
use crate::base::time::LocalTime;

use super::fields::{after, has_word, take_hex, trim};

/// More modules than this are no process.
const MAX_MODULES: usize = 20_000;

/// The log's first words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LogHeader {
    /// UMDH's own, `6.1.7650.0`.
    pub version: Option<String>,
    /// When the log was taken, on the clock of that machine.
    pub log_time: Option<LocalTime>,
    /// dumptrend writes the time of a dump, which is UTC.
    pub is_utc: bool,
    pub machine: Option<String>,
    pub pid: Option<u32>,
}

/// A module that the log lists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogModule {
    pub range: VaRange,
    /// A full path in a raw log; only the module's name in a comparison.
    pub path: String,
    /// What DBGHELP said of its symbols: `public symbols`.
    pub symbols: Option<String>,
    /// GUID and age of the PDB that was used, from the path in the symbol store.
    pub pdb_id: Option<String>,
}

impl LogModule {
    /// As WinDbg names it: the file's name without its extension.
    pub fn name(&self) -> &str {
        let file = file_name(&self.path);
        file.rsplit_once('.').map_or(file, |(stem, _)| stem)
    }
}

/// Collects lines until the data begins.
#[derive(Debug, Default)]
pub(super) struct HeaderReader {
    pub header: LogHeader,
    pub modules: Vec<LogModule>,
    pub left_out_module_count: u64,
    is_in_module_list: bool,
}

impl HeaderReader {
    /// Takes one line of the head. Lines that say nothing that is wanted are passed over.
    pub fn take(&mut self, line: &[u8]) {
        let text = trim(line);
        if let Some(comment) = after(text, b"//") {
            self.take_comment(trim(comment));
        } else if has_word(text, b"DBGHELP: ") {
            self.is_in_module_list = false;
            self.take_dbghelp(text);
        } else if line.starts_with(b" ") || line.starts_with(b"\t") {
            self.take_pdb_path(text);
        } else {
            self.is_in_module_list = false;
        }
    }

    fn take_comment(&mut self, comment: &[u8]) {
        let text = String::from_utf8_lossy(comment);
        if let Some(rest) = text.strip_prefix("UMDH: version ") {
            self.take_version(rest);
        } else if text.starts_with("Written by dumptrend") {
            self.header.is_utc = true;
        } else if text.starts_with("Base Size Module") {
            self.is_in_module_list = true;
        } else if self.is_in_module_list {
            match listed_module(comment) {
                Some(module) => self.push(module),
                None => self.is_in_module_list = false,
            }
        }
    }

    /// `6.1.7650.0: Logtime 2012-04-30 12:09 - Machine=HCE - PID=7696`.
    fn take_version(&mut self, rest: &str) {
        let (version, rest) = rest.split_once(": ").unwrap_or((rest, ""));
        self.header.version = Some(printable(version.trim()));
        let rest = rest.strip_prefix("Logtime ").unwrap_or(rest);
        let machine_at = rest.find(" - Machine=");
        let pid_at = rest.rfind(" - PID=");
        let time_end = machine_at.or(pid_at).unwrap_or(rest.len());
        self.header.log_time = rest.get(..time_end).and_then(LocalTime::parse);
        let machine = machine_at.and_then(|at| rest.get(at..pid_at.unwrap_or(rest.len()).max(at)));
        let machine = machine.and_then(|text| text.strip_prefix(" - Machine="));
        self.header.machine = machine.map(|name| printable(name.trim())).filter(|name| !name.is_empty());
        let pid = pid_at.and_then(|at| rest.get(at..)).and_then(|text| text.strip_prefix(" - PID="));
        self.header.pid = pid.and_then(|digits| digits.trim().parse().ok());
    }

    /// `7FFFE94E0000-7FFFE9582FFF DBGHELP: ADVAPI32 - public symbols`; without the range the name is of no use.
    fn take_dbghelp(&mut self, text: &[u8]) {
        let module = || {
            let (start, rest) = take_hex(text)?;
            let (last, rest) = take_hex(after(rest, b"-")?)?;
            let rest = String::from_utf8_lossy(after(trim(rest), b"DBGHELP: ")?);
            let (name, symbols) = rest.rsplit_once(" - ").unwrap_or((&rest, ""));
            Some(LogModule {
                range: VaRange::new(Va(start), Va(last).checked_add(1)?)?,
                path: printable(name.trim()),
                symbols: Some(printable(symbols.trim())).filter(|symbols| !symbols.is_empty()),
                pdb_id: None,
            })
        };
        if let Some(module) = module() {
            self.push(module);
        }
    }

    /// `C:\Symbols\advapi32.pdb\EADAB9BBFE4FB81E5A372145906E4C2B1\advapi32.pdb`, below the module that it is of.
    fn take_pdb_path(&mut self, text: &[u8]) {
        let Some(module) = self.modules.last_mut().filter(|module| module.pdb_id.is_none()) else { return };
        let text = String::from_utf8_lossy(text);
        let mut parts = text.rsplit(['\\', '/']);
        let is_pdb = parts.next().is_some_and(|name| name.to_ascii_lowercase().ends_with(".pdb"));
        let id = parts.next().filter(|id| is_pdb && (9..=40).contains(&id.len()));
        module.pdb_id = id.filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit())).map(str::to_ascii_uppercase);
    }

    fn push(&mut self, module: LogModule) {
        if self.modules.len() < MAX_MODULES {
            self.modules.push(module);
        } else {
            self.left_out_module_count = self.left_out_module_count.saturating_add(1);
        }
    }
}

/// `400000   11D000 D:\blah\app.exe`.
fn listed_module(comment: &[u8]) -> Option<LogModule> {
    let (base, rest) = take_hex(comment)?;
    let (size_bytes, rest) = take_hex(trim(after(rest, b" ")?))?;
    let path = String::from_utf8_lossy(trim(after(rest, b" ")?));
    (!path.is_empty()).then(|| LogModule {
        range: VaRange::from_size(Va(base), size_bytes),
        path: printable(&path),
        symbols: None,
        pdb_id: None,
    })
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "in a test a panic is a failure")]
mod tests {
    use super::*;

    fn read(text: &str) -> HeaderReader {
        let mut reader = HeaderReader::default();
        text.lines().for_each(|line| reader.take(line.as_bytes()));
        reader
    }

    #[test]
    fn a_raw_head_names_process_time_and_modules() {
        let reader = read(
            "// \n// UMDH: version 6.1.7650.0: Logtime 2012-04-30 12:09 - Machine=HCE - C2 - PID=7696\n// \n\
             // Loaded modules: \n//     Base Size Module\n\
             //              400000   11D000 D:\\blah dir\\app.exe\n\
             //            77650000   180000 C:\\Windows\\SysWOW64\\ntdll.dll\n//\n// Process modules enumerated.\n",
        );
        let header = reader.header;
        assert_eq!(header.version.as_deref(), Some("6.1.7650.0"));
        assert_eq!(header.log_time, LocalTime::parse("2012-04-30 12:09"));
        assert_eq!((header.machine.as_deref(), header.pid), (Some("HCE - C2"), Some(7696)));
        let modules: Vec<_> = reader.modules.iter().map(|module| (module.range.start.0, module.name())).collect();
        assert_eq!(modules, [(0x40_0000, "app"), (0x7765_0000, "ntdll")]);
        assert_eq!(reader.modules[0].path, r"D:\blah dir\app.exe");
        assert_eq!(reader.modules[1].range.size_bytes(), 0x18_0000);
    }

    #[test]
    fn a_comparisons_head_names_modules_and_pdbs() {
        let reader = read(
            "// Debug library initialized ...\n7FF738EC0000-7FF738F02FFF DBGHELP: notepad - no symbols loaded\n\
             7FFFE94E0000-7FFFE9582FFF DBGHELP: ADVAPI32 - public symbols  \n        \
             C:\\Symbols\\advapi32.pdb\\EADAB9BBFE4FB81E5A372145906E4C2B1\\advapi32.pdb\n",
        );
        assert_eq!(reader.modules[0].range.size_bytes(), 0x4_3000);
        assert_eq!(reader.modules[0].symbols.as_deref(), Some("no symbols loaded"));
        assert_eq!(reader.modules[0].pdb_id, None);
        assert_eq!(reader.modules[1].pdb_id.as_deref(), Some("EADAB9BBFE4FB81E5A372145906E4C2B1"));
    }

    #[test]
    fn odd_heads_say_what_they_can() {
        assert_eq!(read("// UMDH: version 7").header.version.as_deref(), Some("7"));
        let header = read("// UMDH: version 1: Logtime soon - PID=12x").header;
        assert_eq!((header.log_time, header.pid, header.machine), (None, None, None));
    }
}
