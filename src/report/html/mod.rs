//! The report as one HTML file: no script, no picture or style of another place, light or dark as its reader has it, and
//! fit to be printed. It says what the text report says, with plots.
//!
//! **Invariant:** text of the analysis becomes markup in `page` alone, escaped; a policy in the file forbids scripts and
//! connections besides.

mod findings;
mod page;
mod plot;
mod sections;
mod table;

use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::group::ProcessGroup;
use crate::base::ids::DumpIdx;
use crate::present::diagnosis::{findings as judged, verdict_line};
use crate::present::headline::{equal_size_lines, headline};
use crate::present::time_to_full::wall_lines;

use page::{escaped, paragraph, paragraphs, section};

const STYLE: &str = include_str!("../../../assets/report.css");

/// The report on all processes that were opened.
pub fn html_report(analysis: &Arc<Analysis>, baseline: Option<DumpIdx>) -> String {
    let mut body = String::new();
    let mut title = "dumptrend report".to_owned();
    for (number, group) in analysis.groups.iter().enumerate() {
        if number == 0 {
            title = group_title(group);
        }
        body.push_str(&group_html(analysis, group, baseline, number));
    }
    body.push_str(&sections::logs(analysis));
    body.push_str(&sections::problems(analysis));
    body.push_str(&sections::measured(analysis));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"dumptrend {}\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n{body}<footer>made by dumptrend {}</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        escaped(&title),
        env!("CARGO_PKG_VERSION"),
    )
}

fn group_title(group: &ProcessGroup) -> String {
    let image = group.identity.image.as_deref().unwrap_or("unknown process");
    group.identity.pid.map_or_else(|| image.to_owned(), |pid| format!("{image} ({pid})"))
}

fn group_html(analysis: &Arc<Analysis>, group: &ProcessGroup, baseline: Option<DumpIdx>, number: usize) -> String {
    let baseline = baseline.filter(|dump| group.dumps.contains(dump)).or_else(|| group.dumps.first().copied());
    let interval = group.compared_dumps(baseline);
    let findings = judged(analysis, &interval);
    let mut html = format!("<header>\n<h1>{}</h1>\n", escaped(&group_title(group)));
    html.push_str(&paragraph(&sections::series_text(analysis, group)));
    html.push_str("</header>\n");
    if let Some(line) = verdict_line(&findings) {
        let mut chars = line.chars();
        let line: String = chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect());
        html.push_str(&format!("<p class=\"answer\">{}.</p>\n", escaped(&line)));
    }
    html.push_str(&paragraph(&headline(analysis, &interval)));
    html.push_str(&paragraphs(&equal_size_lines(analysis, &interval)));
    html.push_str(&paragraphs(&sections::capitalised(wall_lines(analysis, &interval))));
    let id = |name: &str| if number == 0 { name.to_owned() } else { format!("{name}-{}", number + 1) };
    let parts = [
        ("memory", "Committed memory by use", sections::memory(analysis, group, &interval)),
        ("findings", "Findings", findings::cards(&findings)),
        ("advice", "What to do", findings::advice_list(analysis, &interval, &findings)),
        ("dumps", "Dumps", sections::dumps(analysis, group, baseline)),
        ("threads", "Threads", sections::threads(analysis, &interval)),
        ("handles", "Handles", sections::handles(analysis, &interval)),
        ("heaps", "Heaps", sections::heaps(analysis, &interval)),
        ("traces", "Stack traces", sections::traces(analysis, &interval)),
        ("address-space", "Address space", sections::address_space(analysis, &interval)),
        ("process", "Process", sections::process(analysis, &interval)),
        ("modules", "Modules and symbols", sections::modules(analysis, group, &interval)),
    ];
    html.push_str("<nav class=\"screen\">");
    for (name, title, body) in &parts {
        if !body.is_empty() {
            html.push_str(&format!("<a href=\"#{}\">{}</a>", id(name), escaped(title)));
        }
    }
    html.push_str("</nav>\n");
    for (name, title, body) in parts {
        html.push_str(&section(&id(name), title, &body));
    }
    html
}
