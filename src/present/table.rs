//! Tables: columns, cells, sorting and filtering, and rows as text for the clipboard.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::process::regions::usage::Usage;

use super::value::Value;

/// A column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    pub title: &'static str,
    pub align: Align,
    /// How many characters it wants at first.
    pub width_chars: u16,
    /// What it means, for the hover text over its head.
    pub hint: &'static str,
}

impl Column {
    /// Of texts.
    pub const fn words(title: &'static str, width_chars: u16, hint: &'static str) -> Self {
        Self { title, align: Align::Left, width_chars, hint }
    }

    /// Of numbers, which stand under each other from the right.
    pub const fn number(title: &'static str, width_chars: u16, hint: &'static str) -> Self {
        Self { title, align: Align::Right, width_chars, hint }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    Right,
}

/// A cell: its value and the meaning of its colour.
#[derive(Clone, PartialEq, Debug)]
pub struct Cell {
    pub value: Value,
    pub tone: Tone,
}

/// What a colour means; which colour that is, the window decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Normal,
    Dim,
    /// More memory than before.
    Growth,
    /// Less memory than before.
    Shrink,
    Warning,
    /// How much of something there is, 0 to 255: a fill behind the text.
    Heat(u8),
    /// The colour of a use, as a mark before the text.
    Use(Usage),
}

impl Cell {
    pub const fn new(value: Value) -> Self {
        Self { value, tone: Tone::Normal }
    }

    pub const fn toned(value: Value, tone: Tone) -> Self {
        Self { value, tone }
    }

    /// A difference, coloured by its sign.
    pub const fn delta(value: Value) -> Self {
        let tone = match value {
            Value::BytesDelta(delta) | Value::CountDelta(delta) if delta > 0 => Tone::Growth,
            Value::BytesDelta(delta) | Value::CountDelta(delta) if delta < 0 => Tone::Shrink,
            Value::BytesDelta(_) | Value::CountDelta(_) | Value::Absent => Tone::Dim,
            _ => Tone::Normal,
        };
        Self { value, tone }
    }
}

/// A table of any length whose cells are made when they are looked at.
pub trait TableModel: Send + Sync {
    fn columns(&self) -> &[Column];
    fn row_count(&self) -> usize;
    /// A column's title; a table whose columns depend on the dumps says it here.
    fn title(&self, column: usize) -> Cow<'_, str> {
        Cow::Borrowed(self.columns().get(column).map_or("", |column| column.title))
    }
    fn cell(&self, row: usize, column: usize) -> Cell;
    /// The WinDbg command that shows this cell's number in its dump; `None` where WinDbg has none for it.
    fn windbg(&self, _row: usize, _column: usize) -> Option<String> {
        None
    }
}

/// By which column a table is sorted, and which way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sort {
    pub column: usize,
    pub descending: bool,
}

/// The rows of a table that match a filter, in the order asked for. Every word of the filter must be found somewhere in
/// the row, whatever its case. Values that are not known stand last in both directions.
pub fn arrange(model: &dyn TableModel, filter: &str, sort: Option<Sort>) -> Vec<usize> {
    let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
    let mut rows: Vec<usize> = (0..model.row_count()).filter(|row| row_matches(model, *row, &words)).collect();
    if let Some(sort) = sort.filter(|sort| sort.column < model.columns().len()) {
        let mut keyed: Vec<(Value, usize)> =
            rows.into_iter().map(|row| (model.cell(row, sort.column).value, row)).collect();
        keyed.sort_by(|(a, row_a), (b, row_b)| {
            let order = match (a, b) {
                (Value::Absent, Value::Absent) => Ordering::Equal,
                (Value::Absent, _) => Ordering::Greater,
                (_, Value::Absent) => Ordering::Less,
                _ if sort.descending => b.order(a),
                _ => a.order(b),
            };
            order.then(row_a.cmp(row_b))
        });
        rows = keyed.into_iter().map(|(_, row)| row).collect();
    }
    rows
}

fn row_matches(model: &dyn TableModel, row: usize, words: &[String]) -> bool {
    words.is_empty() || {
        let texts: Vec<String> =
            (0..model.columns().len()).map(|column| searchable(&model.cell(row, column).value)).collect();
        words.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
    }
}

/// What a filter sees of a value: addresses without the backtick too, so that a pasted one is found.
fn searchable(value: &Value) -> String {
    match value {
        Value::Address(va, width) => format!("{} {:016x} {va}", va.windbg(*width), va.0),
        other => other.display().to_lowercase(),
    }
}

/// What a spreadsheet takes for the start of a formula, as typed or in the wide forms of East Asian keyboards. A tab or a line
/// break in front would hide it.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Text that a spreadsheet would take for a formula gets an apostrophe, because names in a dump are not to be trusted. Numbers
/// are no text: a negative one stays a number.
fn defused(value: &Value, shown: String) -> String {
    let is_formula = matches!(value, Value::Text(text) if text.starts_with(FORMULA_STARTS));
    if is_formula { format!("'{shown}") } else { shown }
}

/// Rows as tab-separated text with a head line, as a spreadsheet takes it from the clipboard.
pub fn to_tsv(model: &dyn TableModel, rows: &[usize]) -> String {
    let titles = titles(model);
    let mut text = titles.join("\t");
    for row in rows {
        text.push('\n');
        let cells: Vec<String> = (0..titles.len())
            .map(|column| {
                let value = model.cell(*row, column).value;
                defused(&value, value.display()).replace(['\t', '\r', '\n'], " ")
            })
            .collect();
        text.push_str(&cells.join("\t"));
    }
    text
}

/// Rows as CSV (RFC 4180) with plain numbers. No text in it is a formula.
pub fn to_csv(model: &dyn TableModel, rows: &[usize]) -> String {
    let mut text = String::new();
    let titles: Vec<String> = titles(model).iter().map(|title| csv_field(title)).collect();
    text.push_str(&titles.join(","));
    text.push_str("\r\n");
    for row in rows {
        let cells: Vec<String> = (0..titles.len())
            .map(|column| {
                let value = model.cell(*row, column).value;
                csv_field(&defused(&value, value.raw()))
            })
            .collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn titles(model: &dyn TableModel) -> Vec<Cow<'_, str>> {
    (0..model.columns().len()).map(|column| model.title(column)).collect()
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A table as aligned text, for the text report.
pub fn to_text(model: &dyn TableModel, rows: &[usize]) -> String {
    let columns = model.columns();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| (0..columns.len()).map(|column| model.cell(*row, column).value.display()).collect())
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, _)| {
            let widest = cells.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max();
            widest.unwrap_or(0).max(model.title(index).chars().count())
        })
        .collect();
    let line = |texts: Vec<&str>| {
        let padded: Vec<String> = texts
            .iter()
            .zip(columns.iter().zip(&widths))
            .map(|(text, (column, width))| match column.align {
                Align::Left => format!("{text:<width$}"),
                Align::Right => format!("{text:>width$}"),
            })
            .collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let titles = titles(model);
    let mut text = line(titles.iter().map(Cow::as_ref).collect());
    for row in &cells {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Names(Vec<Value>);

    const COLUMNS: [Column; 1] = [Column { title: "name", align: Align::Left, width_chars: 8, hint: "" }];

    impl TableModel for Names {
        fn columns(&self) -> &[Column] {
            &COLUMNS
        }
        fn row_count(&self) -> usize {
            self.0.len()
        }
        fn cell(&self, row: usize, _column: usize) -> Cell {
            Cell::new(self.0.get(row).cloned().unwrap_or(Value::Absent))
        }
    }

    #[test]
    fn unknown_values_stand_last_both_ways() {
        let model = Names(vec![Value::Absent, Value::Bytes(1), Value::Bytes(2)]);
        let sorted = |descending| arrange(&model, "", Some(Sort { column: 0, descending }));
        assert_eq!(sorted(false), [1, 2, 0]);
        assert_eq!(sorted(true), [2, 1, 0]);
    }

    #[test]
    fn every_word_of_a_filter_must_match() {
        let model = Names(vec![Value::text("ntdll.dll image"), Value::text("kernel32.dll image")]);
        assert_eq!(arrange(&model, "IMAGE ntdll", None), [0]);
        assert_eq!(arrange(&model, "image", None), [0, 1]);
    }

    #[test]
    fn names_cannot_become_formulas_or_break_rows() {
        let texts = ["=cmd|' /c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "a,\"b\"", "a=1"];
        let model = Names(texts.map(Value::text).to_vec());
        let rows: Vec<usize> = (0..texts.len()).collect();
        let csv = "name\r\n'=cmd|' /c calc'!A1\r\n'+1\r\n'-1\r\n'@SUM(A1)\r\n'\t=1\r\n\"'\r=1\"\r\n'＝1\r\n\"a,\"\"b\"\"\"\r\na=1\r\n";
        assert_eq!(to_csv(&model, &rows), csv);
        let tsv = "name\n'=cmd|' /c calc'!A1\n'+1\n'-1\n'@SUM(A1)\n' =1\n' =1\n'＝1\na,\"b\"\na=1";
        assert_eq!(to_tsv(&model, &rows), tsv);
    }

    #[test]
    fn negative_numbers_stay_numbers() {
        let model = Names(vec![Value::BytesDelta(-5), Value::CountDelta(-7), Value::BytesPerHour(-1.5)]);
        assert_eq!(to_csv(&model, &[0, 1, 2]), "name\r\n-5\r\n-7\r\n-1.500\r\n");
        assert_eq!(to_tsv(&model, &[0, 1]), "name\n-5 B\n-7");
    }
}
