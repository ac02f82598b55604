//! A table of the presentation as an HTML table.

use crate::present::table::{Align, Cell, TableModel, Tone};
use crate::present::value::Value;

use super::page::escaped;

/// The first `most` rows of those given; how many more there are stands below.
pub(super) fn table(model: &dyn TableModel, rows: &[usize], most: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns = model.columns();
    // A column that says nothing in any row only takes room.
    let shown_rows = rows.get(..most.min(rows.len())).unwrap_or(rows);
    let is_empty = |column: usize| {
        shown_rows.iter().all(|row| match model.cell(*row, column).value {
            Value::Absent => true,
            Value::Text(text) => text.is_empty(),
            _ => false,
        })
    };
    let shown: Vec<usize> = (0..columns.len()).filter(|column| !is_empty(*column)).collect();
    let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for index in &shown {
        let Some(column) = columns.get(*index) else { continue };
        let class = if column.align == Align::Right { " class=\"n\"" } else { "" };
        html.push_str(&format!("<th{class} title=\"{}\">{}</th>", escaped(column.hint), escaped(&model.title(*index))));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in shown_rows {
        html.push_str("<tr>");
        for index in &shown {
            let is_right = columns.get(*index).is_some_and(|column| column.align == Align::Right);
            html.push_str(&cell(&model.cell(*row, *index), is_right));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    let more = rows.len().saturating_sub(shown_rows.len());
    if more > 0 {
        html.push_str(&format!("<p class=\"more\">and {} more</p>\n", crate::base::units::grouped(more as u64)));
    }
    html
}

fn cell(cell: &Cell, is_right: bool) -> String {
    let mut classes: Vec<String> = Vec::new();
    if is_right {
        classes.push("n".to_owned());
    }
    match cell.tone {
        Tone::Normal => {}
        Tone::Dim => classes.push("dim".to_owned()),
        Tone::Growth => classes.push("growth".to_owned()),
        Tone::Shrink => classes.push("shrink".to_owned()),
        Tone::Warning => classes.push("warning".to_owned()),
        Tone::Heat(heat) => classes.push(format!("heat{}", u32::from(heat) * 9 / 255)),
        Tone::Use(_) => {}
    }
    let mark = match cell.tone {
        Tone::Use(usage) => format!("<i class=\"mark u-{}\"></i>", usage.key()),
        _ => String::new(),
    };
    let text = match &cell.value {
        Value::Trend(points) => sparkline(points),
        value => escaped(&value.display()),
    };
    let class = if classes.is_empty() { String::new() } else { format!(" class=\"{}\"", classes.join(" ")) };
    format!("<td{class}>{mark}{text}</td>")
}

/// A small line; dumps of which nothing is known are gaps.
fn sparkline(points: &[Option<u64>]) -> String {
    const WIDTH: f64 = 72.0;
    const HEIGHT: f64 = 16.0;
    let most = points.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
    let step = WIDTH / (points.len().saturating_sub(1)).max(1) as f64;
    let place = |at: usize, value: u64| (at as f64 * step, HEIGHT - (HEIGHT - 2.0) * value as f64 / most - 1.0);
    let mut path = String::new();
    let mut is_down = false;
    for (at, point) in points.iter().enumerate() {
        match point {
            None => is_down = false,
            Some(value) => {
                let (x, y) = place(at, *value);
                path.push_str(&format!("{}{x:.1} {y:.1}", if is_down { 'L' } else { 'M' }));
                is_down = true;
            }
        }
    }
    let texts: Vec<String> =
        points.iter().map(|point| point.map_or_else(|| "–".to_owned(), crate::base::units::grouped)).collect();
    format!(
        "<svg class=\"spark\" viewBox=\"-2 0 76 {HEIGHT}\" width=\"76\" height=\"{HEIGHT}\" role=\"img\">\
         <title>{}</title><path d=\"{path}\"/></svg>",
        escaped(&texts.join("  "))
    )
}
