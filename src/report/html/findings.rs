//! Findings as cards, and what to do about them.

use crate::analysis::Analysis;
use crate::analysis::advice::Advice;
use crate::analysis::diagnosis::{Finding, Verdict};
use crate::base::ids::DumpIdx;
use crate::present::advice::all_advice;
use crate::present::diagnosis::{evidence_text, title, verdict_mark, verdict_text};

use super::page::{escaped, folded, listing, paragraph};

/// What was found stands open; what was ruled out or is open is folded up.
pub(super) fn cards(findings: &[Finding]) -> String {
    let of =
        |verdict| -> Vec<String> { findings.iter().filter(|finding| finding.verdict == verdict).map(card).collect() };
    let (found, ruled_out, undecided) = (of(Verdict::Found), of(Verdict::RuledOut), of(Verdict::Undecided));
    let mut html = if found.is_empty() && !findings.is_empty() {
        paragraph("No pattern was found in these dumps.")
    } else {
        found.concat()
    };
    let mut fold = |name: &str, cards: &[String]| {
        if !cards.is_empty() {
            html.push_str(&folded(&format!("{name} ({})", cards.len()), &cards.concat(), false));
        }
    };
    fold("Ruled out", &ruled_out);
    fold("Undecided", &undecided);
    html
}

fn card(finding: &Finding) -> String {
    let class = finding.verdict.key();
    let mut html = format!(
        "<div class=\"card {}\">\n<h3>{} {}<span class=\"badge\">{}</span></h3>\n",
        escaped(class),
        escaped(verdict_mark(finding.verdict)),
        escaped(&title(finding)),
        escaped(&verdict_text(finding))
    );
    html.push_str(&paragraph(&finding.summary));
    if !finding.evidence.is_empty() {
        html.push_str("<ul>\n");
        for evidence in &finding.evidence {
            let command = evidence
                .windbg
                .as_ref()
                .map_or_else(String::new, |command| format!(" <code class=\"dim\">{}</code>", escaped(command)));
            html.push_str(&format!("<li>{}{command}</li>\n", escaped(&evidence_text(evidence))));
        }
        html.push_str("</ul>\n");
    }
    if !finding.refuted_by.is_empty() {
        let text = format!("Would be refuted by: {}", finding.refuted_by);
        html.push_str(&format!("<p class=\"dim\">{}</p>\n", escaped(&text)));
    }
    if let Some(next) = &finding.next_dump {
        html.push_str(&format!(
            "<p class=\"dim\">{}</p>\n",
            escaped(&format!("The next dump would decide: {}", next.decides))
        ));
    }
    html + "</div>\n"
}

/// Commands with their undo, when they take effect, and what to know before.
pub(super) fn advice_list(analysis: &Analysis, dumps: &[DumpIdx], findings: &[Finding]) -> String {
    all_advice(analysis, dumps, findings).iter().map(advice_html).collect()
}

fn advice_html(advice: &Advice) -> String {
    let mut html = format!("<h3>{}</h3>\n", escaped(&capitalised(&advice.what)));
    if !advice.commands.is_empty() {
        html.push_str(&listing(&advice.commands.join("\n")));
    }
    if !advice.undo.is_empty() {
        html.push_str("<p class=\"dim\">Undo:</p>\n");
        html.push_str(&listing(&advice.undo.join("\n")));
    }
    let rights = if advice.needs_administrator { " It needs an administrator." } else { "" };
    html.push_str(&paragraph(&format!("Takes effect: {}.{rights}", advice.takes_effect)));
    for remark in &advice.remarks {
        html.push_str(&format!("<p class=\"dim\">{}</p>\n", escaped(remark)));
    }
    if let Some(registry) = &advice.registry {
        html.push_str(&folded("The same as a registry file", &listing(&registry.apply), false));
    }
    html
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
