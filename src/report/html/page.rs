//! Writes markup. Text of the analysis comes in only through [`escaped`], so nothing in a dump can become markup.

/// The text as HTML shows it: markup characters replaced, and quotes, so that it can stand in an attribute too.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Controls and marks that turn the direction of reading would change what a reader sees around them.
            c if is_misleading(c) => safe.push(char::REPLACEMENT_CHARACTER),
            c => safe.push(c),
        }
    }
    safe
}

fn is_misleading(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `<h2>` and what belongs to it, with an anchor for the list of contents.
pub(super) fn section(id: &str, title: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{body}</section>\n", escaped(title))
}

pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

pub(super) fn paragraphs(lines: &[String]) -> String {
    lines.iter().map(|line| paragraph(line)).collect()
}

/// Fixed-width text, as a debugger prints it. A file for Windows has line ends of its own, which HTML has not.
pub(super) fn listing(text: &str) -> String {
    format!("<pre>{}</pre>\n", escaped(&text.replace("\r\n", "\n")))
}

/// What is folded up until a reader asks for it; printed in full.
pub(super) fn folded(title: &str, body: &str, is_open: bool) -> String {
    let open = if is_open { " open" } else { "" };
    format!("<details{open}><summary>{}</summary>\n{body}</details>\n", escaped(title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            escaped("<script>alert(\"1\")</script> & 'x'\u{202e}\u{1b}[31m"),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;\u{fffd}\u{fffd}[31m"
        );
    }
}
