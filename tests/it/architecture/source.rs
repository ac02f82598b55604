//! What the checks need of a Rust file: its code without comments and strings, and the paths it takes from our crate.
//!
//! Not a Rust parser: it knows `use` trees, paths that begin with `crate`, `self` or `super`, and inline modules. A path
//! with another first name belongs to another crate, or to a child module, or was brought in by a `use` already seen.

/// A path into our own crate, from its root: `process::regions::Region`.
#[derive(PartialEq, Eq, Debug)]
pub struct Import {
    pub line: usize,
    pub path: String,
}

/// The imports of a file whose own module is `module`, in the order in which they stand.
pub fn imports(source: &str, module: &str) -> Vec<Import> {
    let code = code_only(source);
    let mut reader = Reader {
        tokens: tokens(&code),
        at: 0,
        module: module.split("::").map(String::from).collect(),
        found: Vec::new(),
    };
    reader.read();
    reader.found
}

/// The source with every character of a comment, string or character literal replaced by a space; lines stay lines.
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = not_code_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none begins there.
fn not_code_end(chars: &[char], at: usize) -> usize {
    let char_at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    match char_at(at) {
        '/' if char_at(at + 1) == '/' => (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len()),
        '/' if char_at(at + 1) == '*' => block_comment_end(chars, at),
        '"' => quoted_end(chars, at, '"'),
        '\'' if char_at(at + 1) == '\\' || char_at(at + 2) == '\'' => quoted_end(chars, at, '\''),
        'r' if at == 0 || !is_name_char(char_at(at - 1)) || matches!(char_at(at - 1), 'b' | 'c') => {
            let hash_count = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
            if char_at(at + 1 + hash_count) == '"' { raw_string_end(chars, at, hash_count) } else { at }
        }
        _ => at,
    }
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut here = at;
    while here < chars.len() {
        match chars[here..] {
            ['/', '*', ..] => (depth, here) = (depth + 1, here + 2),
            ['*', '/', ..] => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
        if depth == 0 {
            break;
        }
    }
    here
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut here = at + 1;
    while here < chars.len() && chars[here] != quote {
        here += if chars[here] == '\\' { 2 } else { 1 };
    }
    (here + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], at: usize, hash_count: usize) -> usize {
    let body = at + hash_count + 2;
    let ends = |&i: &usize| chars[i] == '"' && chars[i + 1..].iter().take_while(|&&c| c == '#').count() >= hash_count;
    (body..chars.len()).find(ends).map_or(chars.len(), |quote| quote + 1 + hash_count)
}

pub fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A name, `::`, or one other character that is not white space.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (index, mut rest) in code.lines().enumerate() {
        loop {
            rest = rest.trim_start();
            let name_length = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
            let length = if name_length > 0 {
                name_length
            } else if rest.starts_with("::") {
                2
            } else {
                rest.chars().next().map_or(0, char::len_utf8)
            };
            if length == 0 {
                break;
            }
            let (text, after) = rest.split_at(length);
            tokens.push(Token { text, line: index + 1 });
            rest = after;
        }
    }
    tokens
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// The module in which `at` stands.
    module: Vec<String>,
    found: Vec<Import>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut depth = 0_usize;
        let mut inline_module_depths = Vec::new();
        while self.at < self.tokens.len() {
            match self.text(0) {
                "mod" if self.text(2) == "{" => {
                    self.module.push(self.text(1).to_owned());
                    inline_module_depths.push(depth);
                    self.at += 1;
                }
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if inline_module_depths.last() == Some(&depth) {
                        inline_module_depths.pop();
                        self.module.pop();
                    }
                }
                // `use<'a>` is a bound.
                "use" if self.text(1) != "<" => {
                    self.at += 1;
                    self.use_tree(&[]);
                }
                "crate" | "dumptrend" | "self" | "super" if self.text(1) == "::" => self.inline_path(),
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The text of the token `ahead` of the present one, empty after the end.
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    /// Reads one tree and stops at the `,`, `}` or `;` behind it.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        loop {
            match self.text(0) {
                "" | "," | "}" | ";" | "*" | "as" => break,
                "{" => {
                    while !matches!(self.text(0), "" | "}" | ";") {
                        self.at += 1;
                        if self.text(0) != "}" {
                            self.use_tree(&path);
                        }
                    }
                    self.at += 1;
                    return;
                }
                "::" => {}
                // At the end of a path `self` is what stands before it.
                "self" if !path.is_empty() => {}
                name => path.push(name.to_owned()),
            }
            self.at += 1;
        }
        self.found_path(self.at - 1, &path);
        while !matches!(self.text(0), "" | "," | "}" | ";") {
            self.at += 1;
        }
    }

    /// Reads `crate::a::b` in the midst of code and stops at its last token.
    fn inline_path(&mut self) {
        let start = self.at;
        let mut path = vec![self.text(0).to_owned()];
        while self.text(1) == "::" && self.text(2).starts_with(is_name_char) {
            path.push(self.text(2).to_owned());
            self.at += 2;
        }
        // `pub(in crate::a)` says who may see an item; it takes nothing.
        let is_visibility = start >= 2 && self.tokens[start - 1].text == "in" && self.tokens[start - 2].text == "(";
        if !is_visibility {
            self.found_path(start, &path);
        }
    }

    fn found_path(&mut self, token: usize, path: &[String]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let from_root = match first.as_str() {
            "crate" | "dumptrend" => rest.to_vec(),
            "self" => [&self.module, rest].concat(),
            "super" => {
                let up_count = path.iter().take_while(|name| *name == "super").count();
                let kept_count = self.module.len().saturating_sub(up_count);
                [&self.module[..kept_count], &path[up_count..]].concat()
            }
            _ => return,
        };
        self.found.push(Import { line: self.tokens[token].line, path: from_root.join("::") });
    }
}

mod tests {
    use super::{code_only, imports};

    /// Each import of `source`, standing in module `process::heap::nt`, as `line path`.
    fn check(source: &str, expected: &[&str]) {
        let found: Vec<String> =
            imports(source, "process::heap::nt").iter().map(|i| format!("{} {}", i.line, i.path)).collect();
        assert_eq!(found, expected, "in {source:?}");
    }

    #[test]
    fn use_trees() {
        check("use crate::base::Va;", &["1 base::Va"]);
        check("pub(crate) use crate::base::Va as Address;", &["1 base::Va"]);
        check("use crate::base::*;", &["1 base"]);
        check("use crate::base;", &["1 base"]);
        check("use crate::*;", &["1 "]);
        check("use dumptrend::cli;", &["1 cli"]);
        check("use ::dumptrend::cli;", &["1 cli"]);
        check(
            "use crate::base::{self, addr::{Rva, Va as V}, units::*,};",
            &["1 base", "1 base::addr::Rva", "1 base::addr::Va", "1 base::units"],
        );
        check(
            "use crate::{\n    base::{\n        Va,\n    },\n    input::dump::Dump as D,\n};\nuse crate::gui;",
            &["3 base::Va", "5 input::dump::Dump", "7 gui"],
        );
        check("use {crate::base::Va, std::fs, super::lfh};", &["1 base::Va", "1 process::heap::lfh"]);
        check("use crate::base::{};", &[]);
    }

    #[test]
    fn self_and_super() {
        check("use self::entry::Entry;", &["1 process::heap::nt::entry::Entry"]);
        check("use super::{Heap, lfh::Bucket};", &["1 process::heap::Heap", "1 process::heap::lfh::Bucket"]);
        check("use super::super::regions;", &["1 process::regions"]);
        check("let r = super::super::regions::all();", &["1 process::regions::all"]);
        check("use super::super::super::super::gui;", &["1 gui"]);
        check(
            "mod tests { use super::*; mod deep { use super::super::x; } }\nuse super::y;",
            &["1 process::heap::nt", "1 process::heap::nt::x", "2 process::heap::y"],
        );
        check("mod list;\nfn f() { { } }\nuse super::y;", &["3 process::heap::y"]);
    }

    #[test]
    fn paths_in_code() {
        check(
            "fn f(a: crate::base::Va) -> crate::gui::App { crate::jobs::go::<u8>() }",
            &["1 base::Va", "1 gui::App", "1 jobs::go"],
        );
        check("pub(crate) fn f(self) { self.x }\npub(in crate::process) fn g() {}\npub(super) fn h() {}", &[]);
        check("fn f<'a>() -> impl Iterator + use<'a> { crate::base::zero() }", &["1 base::zero"]);
        check("use std::fs; use regions::Region; fn f() { std::mem::swap(&mut a, &mut b) }", &[]);
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        check("// use crate::gui;\n/* use crate::gui; /* nested */ use crate::gui; */ use crate::base;", &["2 base"]);
        check("/// [`crate::gui`]\nlet a = \"use crate::gui; \\\" crate::gui::x\"; crate::base::f()", &["2 base::f"]);
        check("let a = r#\"crate::gui::x \" crate::gui::y\"#; let b = br\"\\\"; crate::base::f()", &["1 base::f"]);
        check("let a = ['\"', '\\'', 'x']; fn f<'a>(r#type: &'a u8) { crate::base::f() }", &["1 base::f"]);
        assert_eq!(code_only("a /* b\nc */ d \"e\\n\nf\" g 'h' // i\nj"), "a     \n     d     \n   g         \nj");
    }
}
