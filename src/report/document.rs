//! What the text report and the Markdown report are written through: the same parts in two forms, so that the two cannot say
//! different things.
//!
//! **Invariant:** in the Markdown form, text of the analysis comes in only through [`escaped`] and fenced blocks, so nothing in
//! a dump becomes a link, HTML, a mention or another cell.

use crate::base::units::grouped;
use crate::present::table::{Align, TableModel, to_text};

/// In which form a report is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Plain,
    Markdown,
}

/// A line that begins with so many blanks is a command of an advice.
const COMMAND_BLANKS: usize = 6;

/// A report that is being written.
pub(super) struct Document {
    form: Form,
    text: String,
}

impl Document {
    pub fn new(form: Form) -> Self {
        Self { form, text: String::new() }
    }

    pub fn into_text(self) -> String {
        self.text
    }

    pub fn title(&mut self, title: &str) {
        match self.form {
            Form::Plain => self.text.push_str(&format!("{title}\n")),
            Form::Markdown => self.text.push_str(&format!("# {}\n", escaped(title))),
        }
    }

    /// Begins a section.
    pub fn heading(&mut self, heading: &str) {
        match self.form {
            Form::Plain => self.text.push_str(&format!("\n{heading}\n")),
            Form::Markdown => self.text.push_str(&format!("\n## {}\n\n", escaped(&capitalised(heading)))),
        }
    }

    /// Begins a part of a section.
    pub fn subheading(&mut self, heading: &str) {
        match self.form {
            Form::Plain => self.text.push_str(&format!("\n  {heading}\n")),
            Form::Markdown => self.text.push_str(&format!("\n### {}\n\n", escaped(&capitalised(heading)))),
        }
    }

    /// A sentence that stands alone.
    pub fn paragraph(&mut self, text: &str) {
        match self.form {
            Form::Plain => self.text.push_str(&format!("\n{text}\n")),
            Form::Markdown => self.text.push_str(&format!("\n{}\n\n", escaped(text))),
        }
    }

    /// The answer, below the sentence before it.
    pub fn answer(&mut self, text: &str) {
        match self.form {
            Form::Plain => self.text.push_str(&format!("{text}\n")),
            Form::Markdown => self.text.push_str(&format!("\n{}\n", escaped(text))),
        }
    }

    /// One line of a list.
    pub fn line(&mut self, line: &str) {
        self.block(line);
    }

    /// Lines of a list; each four blanks in front of a line put it below the one before, and six make it a command.
    pub fn block(&mut self, text: &str) {
        for line in text.lines() {
            match self.form {
                Form::Plain => self.text.push_str(&format!("  {line}\n")),
                Form::Markdown => {
                    let blank_count = line.chars().take_while(|c| *c == ' ').count();
                    let line = line.trim_start().trim_start_matches("- ");
                    let text = if blank_count >= COMMAND_BLANKS { code(line) } else { escaped(line) };
                    self.text.push_str(&format!("{}- {text}\n", "  ".repeat(blank_count / 4)));
                }
            }
        }
    }

    /// A name and what it is.
    pub fn fact(&mut self, name: &str, value: &str) {
        match self.form {
            Form::Plain => self.text.push_str(&format!("  {name:<20} {value}\n")),
            Form::Markdown => self.text.push_str(&format!("- {}: {}\n", escaped(name), escaped(value))),
        }
    }

    /// Lines in fixed width, as a debugger prints them.
    pub fn listing(&mut self, text: &str) {
        match self.form {
            Form::Plain => text.lines().for_each(|line| self.text.push_str(&format!("  {line}\n"))),
            Form::Markdown => self.text.push_str(&format!("\n{}\n", fenced(text))),
        }
    }

    /// The frames of a stack, below the line that names it.
    pub fn frames(&mut self, frames: &[String]) {
        match self.form {
            Form::Plain => frames.iter().for_each(|frame| self.text.push_str(&format!("    {frame}\n"))),
            Form::Markdown => self.listing(&frames.join("\n")),
        }
    }

    /// Rows of a table; how many there are besides is said below, in the words of `more`.
    pub fn table(&mut self, model: &dyn TableModel, rows: &[usize]) {
        match self.form {
            Form::Plain => self.text.push_str(&to_text(model, rows)),
            Form::Markdown => self.text.push_str(&format!("\n{}\n", markdown_table(model, rows))),
        }
    }

    pub fn whole_table(&mut self, model: &dyn TableModel) {
        let rows: Vec<usize> = (0..model.row_count()).collect();
        self.table(model, &rows);
    }

    /// How many more there are than were listed, by the word for one of them.
    pub fn and_more(&mut self, count: u64, what: &str) {
        match count {
            0 => {}
            1 => self.line(&format!("and 1 more {what}")),
            _ => self.line(&format!("and {} more {what}s", grouped(count))),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A table in the form that GitHub's and most other Markdown has. Columns that say nothing in any row are left out.
fn markdown_table(model: &dyn TableModel, rows: &[usize]) -> String {
    let columns = model.columns();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| (0..columns.len()).map(|column| model.cell(*row, column).value.display()).collect())
        .collect();
    let says_something = |column: usize| {
        cells
            .iter()
            .filter_map(|row| row.get(column))
            .any(|cell| !cell.is_empty() && cell != crate::present::value::ABSENT_TEXT)
    };
    let shown: Vec<usize> = (0..columns.len()).filter(|column| says_something(*column)).collect();
    let line = |texts: Vec<String>| format!("| {} |\n", texts.join(" | "));
    let mut text = line(shown.iter().map(|column| escaped(&model.title(*column))).collect());
    let rule = |column: &usize| match columns.get(*column).map(|column| column.align) {
        Some(Align::Right) => "---:".to_owned(),
        _ => "---".to_owned(),
    };
    text.push_str(&line(shown.iter().map(rule).collect()));
    for row in &cells {
        text.push_str(&line(shown.iter().filter_map(|column| row.get(*column)).map(|cell| escaped(cell)).collect()));
    }
    text
}

/// A fenced block: its fence is longer than any run of backticks in it.
fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let text = text.trim_end_matches('\n');
    format!("{fence}text\n{text}\n{fence}\n")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text as Markdown shows it, on one line. Signs that could mean something are escaped; a word that a reader of Markdown might
/// make a link or a mention of stands as code, where nothing is made of anything.
pub(super) fn escaped(text: &str) -> String {
    let flat = text.replace(['\n', '\r', '\t'], " ");
    let words: Vec<String> = flat.split(' ').map(escaped_word).collect();
    let text = words.join(" ");
    // A number with a point begins a list, and a line of signs a heading; both only where a text begins.
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    match text.get(digits..) {
        Some(rest) if digits > 0 && rest.starts_with(['.', ')']) => {
            format!("{}\\{rest}", text.get(..digits).unwrap_or_default())
        }
        _ if text.starts_with(['-', '+', '=']) => format!("\\{text}"),
        _ => text,
    }
}

fn escaped_word(word: &str) -> String {
    // No escape holds a stroke in code, so it never comes into any.
    let parts: Vec<String> = word.split('|').map(escaped_part).collect();
    parts.join("&#124;")
}

fn escaped_part(part: &str) -> String {
    if may_be_linked(part) {
        // What belongs to the sentence stays out of the code.
        let core = part.trim_start_matches('(').trim_end_matches([',', ';', ':', '.', ')']);
        let (before, after) = part.split_once(core).unwrap_or(("", ""));
        return format!("{before}{}{after}", code(core));
    }
    let mut text = String::with_capacity(part.len());
    for c in part.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' | '&' | '$' | '^') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// Text as code, where nothing is made of anything.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

/// Addresses of pages and mail, mentions, and names with a point, in which some readers see the name of a host. File names are
/// such names, and look well as code.
fn may_be_linked(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    let has_host = letters.windows(3).any(|three| {
        matches!(three, [before, '.', after] if (before.is_alphanumeric() || *before == '-') && after.is_alphabetic())
    });
    has_host || word.contains("://") || word.contains('@') || word.to_ascii_lowercase().contains("mailto:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        for (text, expect) in [
            ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
            ("[click](javascript:alert(1))", r"\[click\](javascript:alert(1))"),
            ("a|b", "a&#124;b"),
            (r"a\|b", r"a\\&#124;b"),
            ("00007ff9`6bb40770", r"00007ff9\`6bb40770"),
            ("&lt;b&gt;", r"\&lt;b\&gt;"),
            ("1. first", r"1\. first"),
            ("- item", r"\- item"),
            ("# head\n## head", r"\# head \#\# head"),
            ("see https://example.org/x|y.", "see `https://example.org/x`&#124;y."),
            ("WWW.example.org", "`WWW.example.org`"),
            ("(e.com).", "(`e.com`)."),
            ("in ntdll.dll, 3.5 MB", "in `ntdll.dll`, 3.5 MB"),
            ("@somebody", "`@somebody`"),
            ("@`x`", "`` @`x` ``"),
            ("-5.0 MB", r"\-5.0 MB"),
        ] {
            assert_eq!(escaped(text), expect, "{text}");
        }
    }

    #[test]
    fn no_listing_ends_its_own_fence() {
        assert_eq!(fenced("a\n```\nb\n"), "````text\na\n```\nb\n````\n");
        assert_eq!(fenced("00007ff9`6bb40770"), "```text\n00007ff9`6bb40770\n```\n");
    }
}
