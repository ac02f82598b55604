//! Names of images that may stand in a command line, a script or a registry file.
//!
//! Everything that a command interpreter, gflags or the registry's text format could take for more than a name is refused:
//! such a name gets a sentence instead of a script. Nothing is escaped, because the three have different rules.

/// A name of a file without a folder, of letters, digits and a few signs that mean nothing to anybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageName(String);

impl ImageName {
    /// The longest name of a file on Windows.
    const MOST_CHARS: usize = 255;

    /// `None` for a name that must not stand in a command.
    pub fn new(name: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '+' | '(' | ')');
        // A first sign could make an option of it; Windows drops spaces and points at the end.
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let ends_well = name.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ')'));
        let is_good = name.chars().all(is_plain) && begins_well && ends_well && name.len() <= Self::MOST_CHARS;
        is_good.then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a command line has it: in quotes where it needs them.
    pub fn quoted(&self) -> String {
        let is_word = self.0.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if is_word { self.0.clone() } else { format!("\"{}\"", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_pass_and_are_quoted_where_needed() {
        let quoted = |name| ImageName::new(name).map(|name| name.quoted());
        assert_eq!(quoted("AllocFree.exe").as_deref(), Some("AllocFree.exe"));
        assert_eq!(quoted("My App (x64).exe").as_deref(), Some("\"My App (x64).exe\""));
        assert_eq!(quoted("notepad++.exe").as_deref(), Some("\"notepad++.exe\""));
    }

    #[test]
    fn names_that_mean_more_than_a_name_are_refused() {
        let hostile = [
            "",
            "a&calc.exe",
            "a|b.exe",
            "a\"b.exe",
            "a%PATH%.exe",
            "a^b.exe",
            "a<b",
            "a>b",
            "a!b!.exe",
            "a\nb.exe",
            "a\rb",
            "a\tb",
            "-ust",
            "/i",
            " a.exe",
            "a.exe ",
            "a.",
            "..",
            "a]b.exe",
            "a[b",
            "a\\b.exe",
            "a/b.exe",
            "a;b",
            "a'b",
            "a`b",
            "a$b",
            "a=b",
            "a,b",
            "a*b",
            "a?b",
            "ä.exe",
            "a\u{202e}exe.b",
            "a\u{0}b",
            "=cmd|' /c calc'!A1",
            "@echo.exe",
            "~a",
        ];
        for name in hostile {
            assert_eq!(ImageName::new(name), None, "{name:?}");
        }
        assert_eq!(ImageName::new(&"a".repeat(256)), None);
    }
}
