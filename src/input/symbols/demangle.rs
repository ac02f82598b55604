//! Names as compilers write them, turned into what WinDbg shows: the name alone, `Class::method`, without arguments.
//!
//! Three ways of mangling: MSVC's (`?method@Class@@…`), Itanium's of GCC and Clang (`_ZN5Class6methodEv`), Rust's (`_R…`,
//! `_ZN…17h0123456789abcdefE`). A name that cannot be read stays as it is.
//!
//! A name that was made to do harm can nest deeply or refer to itself until it fills memory. Against that stand a limit of
//! its length, one of the result, a budget for all names of a file, and a thread with a deep stack, on which callers call
//! this (`deep_stack`).

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Longest mangled name that is read; MSVC's linker writes none that is longer.
const MAX_MANGLED_BYTES: usize = 4096;
/// Longest name that is shown.
const MAX_NAME_BYTES: usize = 16_384;
/// All results of one file together may be this many times as long as the names.
const BUDGET_FACTOR: usize = 16;

/// Demangles the names of one file, within a budget.
#[derive(Debug, Default)]
pub struct Demangler {
    buffer: String,
    read_bytes: usize,
    written_bytes: usize,
}

impl Demangler {
    /// The name that people read.
    pub fn name<'a>(&mut self, raw: &'a str) -> Cow<'a, str> {
        self.read_bytes = self.read_bytes.saturating_add(raw.len());
        let first = raw.as_bytes().first();
        if !matches!(first, Some(b'?' | b'_' | b'.')) || raw.len() > MAX_MANGLED_BYTES || self.is_budget_spent() {
            return Cow::Borrowed(raw);
        }
        let found = if raw.starts_with('?') {
            self.msvc(raw)
        } else if raw.starts_with("_R") || raw.starts_with("_Z") || raw.starts_with("__Z") {
            self.rust_or_itanium(raw)
        } else {
            None
        };
        found.filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES).map_or(Cow::Borrowed(raw), Cow::Owned)
    }

    /// The name of a public symbol of 32-bit x86, whose C names carry their calling convention.
    pub fn name_x86<'a>(&mut self, raw: &'a str) -> Cow<'a, str> {
        match self.name(raw) {
            Cow::Borrowed(_) => Cow::Borrowed(without_c_decoration(raw)),
            demangled => demangled,
        }
    }

    fn is_budget_spent(&self) -> bool {
        const LEAST_BUDGET_BYTES: usize = 64 << 20;
        self.written_bytes > self.read_bytes.saturating_mul(BUDGET_FACTOR).max(LEAST_BUDGET_BYTES)
    }

    fn msvc(&mut self, raw: &str) -> Option<String> {
        // As the debuggers show names: no `class`, no `__ptr64`.
        let flags = undname::Flags::NAME_ONLY | undname::Flags::NO_TAG_SPECIFIER | undname::Flags::NO_MS_KEYWORDS;
        let done = undname::demangle_into(raw, flags, &mut self.buffer);
        self.written_bytes = self.written_bytes.saturating_add(self.buffer.len());
        done.is_ok().then(|| as_msvc_writes(&self.buffer))
    }

    fn rust_or_itanium(&mut self, raw: &str) -> Option<String> {
        let mut out = Bounded { text: String::new() };
        let rust = rustc_demangle::try_demangle(raw);
        let written = match &rust {
            // `#` leaves out the hash.
            Ok(name) => write!(out, "{name:#}"),
            Err(_) => itanium(raw, &mut out),
        };
        self.written_bytes = self.written_bytes.saturating_add(out.text.len());
        if written.is_err() {
            return None;
        }
        Some(if rust.is_ok() { out.text } else { as_msvc_writes(without_qualifiers(&out.text)) })
    }
}

/// Lists of template arguments and names of what the compiler makes as MSVC writes them, `A<B<int> >`, `A<int,int>` and
/// `` `scalar deleting destructor'``, so that one function has one name in public and private symbols.
fn as_msvc_writes(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let in_full;
    let name = if name.contains('`') {
        in_full = name.replace(" dtor", " destructor").replace(" ctor", " constructor");
        &in_full
    } else {
        name
    };
    for c in name.chars() {
        match c {
            ' ' if out.ends_with(',') => continue,
            '>' if out.ends_with('>') && !out.ends_with("operator>") => out.push(' '),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// What follows the arguments of a method is no part of its name.
fn without_qualifiers(name: &str) -> &str {
    let mut name = name;
    while let Some(shorter) = [" const", " volatile", " &&", " &"].iter().find_map(|end| name.strip_suffix(end)) {
        name = shorter;
    }
    name
}

fn itanium(raw: &str, out: &mut Bounded) -> fmt::Result {
    // C names of 32-bit x86 have one more underscore in front.
    let raw = if raw.starts_with("__Z") { raw.get(1..).unwrap_or(raw) } else { raw };
    let Ok(symbol) = cpp_demangle::Symbol::new(raw.as_bytes()) else { return Err(fmt::Error) };
    let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
    symbol.structured_demangle(out, &options)
}

/// Takes text up to the longest name.
struct Bounded {
    text: String,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len().saturating_add(text.len()) > MAX_NAME_BYTES {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// `_name` (cdecl), `_name@8` (stdcall), `@name@8` (fastcall), `name@@8` (vectorcall): the name. Import pointers
/// `__imp__name@8` lose what stands in front of `_imp` and behind the name.
fn without_c_decoration(raw: &str) -> &str {
    let without_size = |name: &str| -> Option<usize> {
        let (start, size) = name.rsplit_once('@')?;
        (!size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit())).then_some(start.len())
    };
    let cut = without_size(raw).and_then(|length| raw.get(..length)).unwrap_or(raw);
    let name = match cut.as_bytes() {
        [b'_', ..] => cut.get(1..),
        [b'@', ..] if cut.len() < raw.len() => cut.get(1..),
        [.., b'@'] if cut.len() < raw.len() => cut.strip_suffix('@'),
        // Neither prefix: the `@` belongs to the name.
        _ => Some(raw),
    };
    name.filter(|name| !name.is_empty()).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_windbg_shows_them() {
        for (raw, name) in [
            ("?what@exception@std@@UEBAPEBDXZ", "std::exception::what"),
            (
                "??1AutoExceptionHandler@google_breakpad@@QAE@XZ",
                "google_breakpad::AutoExceptionHandler::~AutoExceptionHandler",
            ),
            (
                "?_Xrange@?$vector@PAVExceptionHandler@google_breakpad@@V?$allocator@PAVExceptionHandler@google_breakpad@@@std@@@std@@CAXXZ",
                "std::vector<google_breakpad::ExceptionHandler *,std::allocator<google_breakpad::ExceptionHandler *> >::_Xrange",
            ),
            ("??2@YAPEAX_K@Z", "operator new"),
            ("??5@YAXAEAUA@@H@Z", "operator>>"),
            ("??_GClient@@UAEPAXI@Z", "Client::`scalar deleting destructor'"),
            ("??_7type_info@@6B@", "type_info::`vftable'"),
            ("_ZN3foo3barEiPKc", "foo::bar"),
            ("_ZNK3foo3Bar6methodEi", "foo::Bar::method"),
            ("_ZN3foo3Bar4tmplIlEET_S2_", "foo::Bar::tmpl<long>"),
            ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int,std::allocator<int> >::push_back"),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("RtlAllocateHeap", "RtlAllocateHeap"),
            ("_initterm", "_initterm"),
            ("?", "?"),
            ("?broken@@", "?broken@@"),
            ("_Zbroken", "_Zbroken"),
        ] {
            assert_eq!(Demangler::default().name(raw), name, "{raw}");
        }
    }

    #[test]
    fn decoration_of_c_names_is_for_32_bits_only() {
        for (raw, name) in [
            ("_RtlpStackTraceDataBase", "RtlpStackTraceDataBase"),
            ("_NtClose@4", "NtClose"),
            ("@RtlFast@8", "RtlFast"),
            ("vector@@16", "vector"),
            ("__initterm", "_initterm"),
            ("plain", "plain"),
            ("odd@name", "odd@name"),
            ("odd@4", "odd@4"),
            ("@", "@"),
            ("_", "_"),
            ("@@4", "@@4"),
            ("?f@@YAXXZ", "f"),
        ] {
            assert_eq!(Demangler::default().name_x86(raw), name, "{raw}");
        }
        assert_eq!(Demangler::default().name("_NtClose@4"), "_NtClose@4");
    }

    #[test]
    fn names_made_to_fill_memory_stay_as_they_are() {
        let mut nested = "?f@@YAX".to_owned();
        nested.push_str("P6AXHH@Z");
        for level in 0..9 {
            nested.push_str(&format!("P6AX{}@Z", level.to_string().repeat(300)));
        }
        nested.push_str("@Z");
        let _ = Demangler::default().name(&nested);
        let deep = format!("?x@@3{}HA", "PA".repeat(2000));
        let read = std::thread::Builder::new()
            .name("deep".to_owned())
            .stack_size(64 << 20)
            .spawn(move || Demangler::default().name(&deep).into_owned());
        read.expect("a thread").join().expect("no overflow");
        let long = format!("_ZN{}E", "1a".repeat(4000));
        assert_eq!(Demangler::default().name(&long), long);
    }
}
