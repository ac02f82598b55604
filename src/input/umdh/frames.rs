//! Frames of stacks as a log has them: an address, or the name that UMDH found for it. Each different frame is kept once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::base::addr::Va;
use crate::base::printable::printable;

use super::fields::{trim, whole_hex};

/// Different frames of one log; a large program has some hundred thousand call sites.
const MAX_FRAMES: usize = 1 << 20;
/// Names of all frames of one log.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// One frame.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct LogFrame {
    /// `None` where the log has a name instead.
    pub address: Option<Va>,
    /// `ntdll!RtlAllocateHeap+0xa64`, as a debugger writes it; only a module where UMDH found no function.
    pub name: Option<Box<str>>,
    pub source: Option<SourcePlace>,
}

/// A line of source.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SourcePlace {
    pub file: Box<str>,
    pub line: u32,
}

/// Number of a frame in a [`FrameTable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FrameId(pub u32);

impl LogFrame {
    pub const fn of_address(address: Va) -> Self {
        Self { address: Some(address), name: None, source: None }
    }

    /// Reads what stands behind the tab: `776CDD82`, `ntdll!RtlAllocateHeap+274`, `a!f+83 (c:\a.cpp, 228)`,
    /// `notepad!???+0 : 7FF738EC20AC`. `None` where it is none of these.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = trim(text);
        if let Some(address) = whole_hex(text) {
            return Some(Self::of_address(Va(address)));
        }
        let text = String::from_utf8_lossy(text);
        let (module, _) = text.split_once('!')?;
        if module.is_empty() || module.contains(char::is_control) {
            return None;
        }
        // UMDH writes so what its symbols do not reach: `notepad!???+0 : 7FF738EC20AC`.
        if let Some((name, address)) = text.rsplit_once(" : ")
            && name.contains("!???")
            && let Some(address) = whole_hex(address.trim().as_bytes())
        {
            return Some(Self { address: Some(Va(address)), name: Some(printable(module).into()), source: None });
        }
        let (name, source) = split_source(&text);
        Some(Self { address: None, name: Some(printable(&with_debugger_offset(name)).into()), source })
    }

    /// Module, function and offset, as far as there are any.
    pub fn parts(&self) -> Option<(&str, Option<&str>, u64)> {
        let name = self.name.as_deref()?;
        let Some((module, rest)) = name.split_once('!') else { return Some((name, None, 0)) };
        let offset = rest
            .rsplit_once("+0x")
            .and_then(|(function, digits)| u64::from_str_radix(digits, 16).ok().map(|offset| (function, offset)));
        let (function, offset) = offset.unwrap_or((rest, 0));
        Some((module, Some(function), offset))
    }

    fn text_bytes(&self) -> usize {
        let source = self.source.as_ref().map_or(0, |source| source.file.len());
        self.name.as_ref().map_or(0, |name| name.len()).saturating_add(source)
    }
}

/// `(file, line)` at the end; a name may have brackets of its own.
fn split_source(text: &str) -> (&str, Option<SourcePlace>) {
    let place = text.strip_suffix(')').and_then(|open| {
        let (rest, line) = open.rsplit_once(", ")?;
        let line = line.trim().parse().ok()?;
        // The offset ends the name; a path may have brackets too.
        let after_offset = |(at, _): &(usize, &str)| {
            let offset = rest.get(..*at).and_then(|name| name.rsplit_once('+'));
            offset.is_some_and(|(_, digits)| whole_hex(digits.as_bytes()).is_some())
        };
        let bracket = rest.match_indices(" (").find(after_offset).or_else(|| rest.rmatch_indices(" (").next());
        let (name, file) = rest.split_at_checked(bracket?.0)?;
        let file = file.strip_prefix(" (")?;
        Some((name, SourcePlace { file: printable(file).into(), line }))
    });
    place.map_or((text, None), |(name, source)| (name.trim_end(), Some(source)))
}

/// `f+83` and `f+0x00000083` become `f+0x83`, and `f+0` becomes `f`: equal frames of different versions read alike.
fn with_debugger_offset(name: &str) -> String {
    let parsed = name.rsplit_once('+').and_then(|(function, digits)| {
        let value = whole_hex(digits.as_bytes())?;
        Some((function, value))
    });
    match parsed {
        Some((function, 0)) => function.to_owned(),
        Some((function, offset)) => format!("{function}+{offset:#x}"),
        None => name.to_owned(),
    }
}

/// The different frames of one log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FrameTable {
    frames: Vec<LogFrame>,
    #[serde(skip)]
    by_address: HashMap<Va, FrameId>,
    #[serde(skip)]
    by_text: HashMap<Box<[u8]>, FrameId>,
    text_bytes: usize,
}

/// What came of a line that should be a frame.
pub(super) enum Interned {
    Frame(FrameId),
    /// The log has more different frames than are kept.
    Full,
    NoFrame,
}

impl FrameTable {
    pub fn frame(&self, id: FrameId) -> Option<&LogFrame> {
        self.frames.get(id.0 as usize)
    }

    pub(super) fn intern(&mut self, text: &[u8]) -> Interned {
        let text = trim(text);
        if let Some(address) = whole_hex(text) {
            if let Some(id) = self.by_address.get(&Va(address)) {
                return Interned::Frame(*id);
            }
            let id = self.push(LogFrame::of_address(Va(address)));
            return id.map_or(Interned::Full, |id| {
                self.by_address.insert(Va(address), id);
                Interned::Frame(id)
            });
        }
        if let Some(id) = self.by_text.get(text) {
            return Interned::Frame(*id);
        }
        let Some(frame) = LogFrame::parse(text) else { return Interned::NoFrame };
        let grown = self.text_bytes.saturating_add(frame.text_bytes()).saturating_add(text.len());
        if grown > MAX_TEXT_BYTES {
            return Interned::Full;
        }
        let Some(id) = self.push(frame) else { return Interned::Full };
        self.text_bytes = grown;
        self.by_text.insert(text.into(), id);
        Interned::Frame(id)
    }

    fn push(&mut self, frame: LogFrame) -> Option<FrameId> {
        let id = u32::try_from(self.frames.len()).ok().filter(|_| self.frames.len() < MAX_FRAMES)?;
        self.frames.push(frame);
        Some(FrameId(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, address: Option<u64>, name: Option<&str>, source: Option<(&str, u32)>) {
        let frame = LogFrame::parse(text.as_bytes()).expect("a frame");
        assert_eq!(frame.address, address.map(Va), "{text}");
        assert_eq!(frame.name.as_deref(), name, "{text}");
        assert_eq!(frame.source.as_ref().map(|source| (&*source.file, source.line)), source, "{text}");
    }

    #[test]
    fn frames_of_all_versions_are_read() {
        check("\t776CDD82", Some(0x776c_dd82), None, None);
        check("\tntdll!RtlAllocateHeap+A64", None, Some("ntdll!RtlAllocateHeap+0xa64"), None);
        check("ntdll!RtlAllocateHeap+0x00000808", None, Some("ntdll!RtlAllocateHeap+0x808"), None);
        check("\tnotepad!???+0 : 7FF738EC20AC", Some(0x7ff7_38ec_20ac), Some("notepad"), None);
        check("\ta!operator+", None, Some("a!operator+"), None);
        check(
            r"Crash!Leak+83 (c:\src (old)\a, b.cpp, 228)",
            None,
            Some("Crash!Leak+0x83"),
            Some((r"c:\src (old)\a, b.cpp", 228)),
        );
    }

    #[test]
    fn a_source_line_stands_in_brackets_at_the_end() {
        check(
            r"combase!CObjectContext::operator new+19 (onecore\com\context.cxx, 1379)",
            None,
            Some("combase!CObjectContext::operator new+0x19"),
            Some((r"onecore\com\context.cxx", 1379)),
        );
        check("COMDLG32!<lambda_77>::operator()+9E", None, Some("COMDLG32!<lambda_77>::operator()+0x9e"), None);
    }

    #[test]
    fn what_is_no_frame_is_none() {
        for text in ["", "\t", "word", "!f", "\u{1}!f", "12 34"] {
            assert_eq!(LogFrame::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn names_come_apart() {
        let parts = |text: &str| {
            let frame = LogFrame::parse(text.as_bytes()).expect("a frame");
            frame.parts().map(|(module, function, offset)| (module.to_owned(), function.map(str::to_owned), offset))
        };
        assert_eq!(parts("a!b::c+10"), Some(("a".to_owned(), Some("b::c".to_owned()), 0x10)));
        assert_eq!(parts("notepad!???+0 : 7FF738EC20AC"), Some(("notepad".to_owned(), None, 0)));
        assert_eq!(parts("776CDD82"), None);
    }
}
