//! The modules of a process compared over its dumps: the columns of WinDbg's `lm`, and what became of each module.

use std::collections::HashMap;
use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::modules::{
    ModuleChange, ModuleHistory, Seen, SeriesModules, image_bytes, module_histories,
};
use crate::analysis::snapshot::Snapshot;
use crate::analysis::thresholds::{MOST_NAMED, UNLOADED_AGAIN_AND_AGAIN};
use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::ids::{DumpIdx, ModuleIdx};
use crate::base::time::UtcTime;
use crate::base::units::{ByteDelta, grouped};
use crate::input::dump::modules::{ModuleRecord, UnloadedModuleRecord};
use crate::input::symbols::{SymbolQuality, SymbolTable, windbg_module_name};

use super::table::{Cell, Column, TableModel, Tone};
use super::value::{ABSENT_TEXT, Value};
use super::windbg;

/// One row for each module that any dump of the process has or remembers.
pub struct ModuleTable {
    series: SeriesModules,
    snapshots: Vec<Arc<Snapshot>>,
    dumps: Vec<DumpIdx>,
    from: usize,
    to: usize,
    symbols: Arc<SymbolTable>,
    /// Committed memory of the images at both ends.
    bytes: [Option<HashMap<ModuleIdx, u64>>; 2],
    width: PointerWidth,
}

const COLUMNS: [Column; 17] = [
    Column::words("start", 17, "Where the image begins, in the second dump or where it was last"),
    Column::words("end", 17, "The first byte behind it"),
    Column::words("module", 18, "As WinDbg names it"),
    Column::words("change", 14, "From the first dump to the second"),
    Column::words("before", 24, "Its base or its build in the first dump, where that was another one"),
    Column::number("since", 5, "The first dump that has it"),
    Column::number("until", 5, "The last dump that has it"),
    Column::number(
        "unloads",
        7,
        "How often the second dump has it among the unloaded modules; Windows remembers the last 64",
    ),
    Column::number("size", 9, "Of the whole image"),
    Column::number("committed", 9, "Committed memory of the image in the second dump"),
    Column::number("Δ committed", 10, "Second dump less first"),
    Column::words("version", 16, "File version"),
    Column::words("timestamp", 9, "TimeDateStamp; newer linkers write a hash of the image there"),
    Column::words("symbols", 8, "pdb, exports alone, or none"),
    Column::words("PDB", 16, "The name that the image gives"),
    Column::words("PDB id", 34, "GUID and age, as a symbol store names the folder"),
    Column::words("path", 40, "As the dump has it"),
];

/// The word for a change.
pub const fn change_word(change: ModuleChange) -> &'static str {
    match change {
        ModuleChange::Same => "same",
        ModuleChange::Loaded => "loaded",
        ModuleChange::Unloaded => "unloaded",
        ModuleChange::Moved => "moved",
        ModuleChange::Replaced => "replaced",
        ModuleChange::Reloaded => "reloaded",
        ModuleChange::CameAndWent => "came and went",
    }
}

/// What a row is about: a module of a dump, or what is remembered of one.
enum Subject<'a> {
    Loaded(&'a Seen, &'a ModuleRecord),
    Unloaded(&'a UnloadedModuleRecord),
}

impl ModuleTable {
    /// Compares the two ends of an interval of dumps of one process; `None` when they are of none.
    pub fn new(analysis: &Analysis, from: DumpIdx, to: DumpIdx) -> Option<Self> {
        let group = analysis.group_of(to)?;
        let position = |dump: DumpIdx| group.dumps.iter().position(|other| *other == dump);
        let (from, to) = (position(from)?, position(to)?);
        let snapshots: Vec<Arc<Snapshot>> =
            group.dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).map(Arc::clone).collect();
        let series = module_histories(&snapshots);
        let bytes = [from, to].map(|dump| snapshots.get(dump).and_then(|snapshot| image_bytes(snapshot)));
        Some(Self {
            series,
            width: snapshots.get(to)?.pointer_width(),
            snapshots,
            dumps: group.dumps.clone(),
            from,
            to,
            symbols: analysis.symbols_of(group),
            bytes,
        })
    }

    pub const fn series(&self) -> &SeriesModules {
        &self.series
    }

    pub fn history(&self, row: usize) -> Option<&ModuleHistory> {
        self.series.histories.get(row)
    }

    pub fn change(&self, row: usize) -> Option<ModuleChange> {
        self.series.change(self.history(row)?, self.from, self.to)
    }

    /// Rows that are not the same at both ends, or were unloaded again and again.
    pub fn changed_rows(&self) -> Vec<usize> {
        (0..self.row_count())
            .filter(|row| {
                let change = self.change(*row).filter(|change| *change != ModuleChange::Same);
                change.is_some() || self.is_unloaded_often(*row)
            })
            .collect()
    }

    fn is_unloaded_often(&self, row: usize) -> bool {
        let count = self.history(row).and_then(|history| history.unload_count(self.to));
        count.is_some_and(|count| count >= UNLOADED_AGAIN_AND_AGAIN)
    }

    /// The module's record in a dump.
    pub fn record(&self, seen: &Seen) -> Option<&ModuleRecord> {
        self.snapshots.get(seen.dump)?.dump.modules.as_ref()?.get(seen.module.0)
    }

    fn subject(&self, row: usize) -> Option<Subject<'_>> {
        let history = self.history(row)?;
        if let Some(seen) = history.latest(self.to) {
            return Some(Subject::Loaded(seen, self.record(seen)?));
        }
        let unloads = history.unloads.iter().rev().find(|unloads| unloads.dump <= self.to);
        let unloads = unloads.or_else(|| history.unloads.first())?;
        let list = self.snapshots.get(unloads.dump)?.dump.unloaded_modules.as_ref()?;
        list.get(unloads.last).map(Subject::Unloaded)
    }

    fn dump(&self, position: usize) -> Option<DumpIdx> {
        self.dumps.get(position).copied()
    }

    /// What it was at the start of the interval, where that differs.
    fn before(&self, row: usize) -> Option<String> {
        let history = self.history(row)?;
        let (from, to) = (history.at(self.from)?, history.at(self.to)?);
        let (old, new) = (self.record(from)?, self.record(to)?);
        match self.change(row)? {
            ModuleChange::Moved => Some(from.base.windbg(self.width)),
            ModuleChange::Replaced => {
                let version = old.file_version.filter(|version| Some(*version) != new.file_version).map(version_text);
                let stamp = (old.time_date_stamp != new.time_date_stamp).then(|| stamp_text(old.time_date_stamp));
                let size = (old.size_bytes != new.size_bytes).then(|| format!("size {:#x}", old.size_bytes));
                let pdb = old.pdb.as_ref().map(|pdb| format!("PDB {}", pdb.store_id));
                version.into_iter().chain(stamp).next().or(size).or(pdb)
            }
            _ => None,
        }
    }

    fn committed(&self, seen: Option<&Seen>, end: usize) -> Option<u64> {
        let bytes = self.bytes.get(end)?.as_ref()?;
        bytes.get(&seen?.module).copied()
    }

    /// Committed memory at both ends: nothing where a dump's list does not have the module.
    fn committed_delta(&self, row: usize) -> Option<ByteDelta> {
        let history = self.history(row)?;
        self.change(row)?;
        let end = |dump: usize, end: usize| match history.at(dump) {
            Some(seen) => self.committed(Some(seen), end),
            None => self.bytes.get(end)?.as_ref().map(|_| 0),
        };
        Some(ByteDelta::between(end(self.from, 0)?, end(self.to, 1)?)).filter(|_| self.from != self.to)
    }

    /// The facts of a row, one line each, as `lmv` lists them.
    pub fn detail_lines(&self, row: usize) -> Vec<String> {
        let Some(history) = self.history(row) else { return Vec::new() };
        let mut lines = Vec::new();
        let mut line = |name: &str, text: String| lines.push(format!("{name:<17} {text}"));
        match self.subject(row) {
            Some(Subject::Loaded(seen, record)) => {
                let range = record.range();
                line("image", range_text(range, self.width));
                line("path", record.path.clone().unwrap_or_else(|| "not readable".to_owned()));
                line("timestamp", stamp_and_date(record.time_date_stamp));
                line("checksum", format!("{:08X}", record.checksum));
                if let Some(version) = record.file_version {
                    line("file version", version_text(version));
                }
                if let Some(pdb) = &record.pdb {
                    line("PDB", format!("{} {}", pdb.path, pdb.store_id));
                }
                let symbols = self.symbols.module_at(seen.base).filter(|of| of.range == range);
                if let Some(symbols) = symbols {
                    line("symbols", format!("{}: {}", symbols.quality.word(), symbols.note));
                }
            }
            Some(Subject::Unloaded(record)) => {
                line("was at", range_text(VaRange::from_size(record.base, record.size_bytes), self.width));
                line("timestamp", stamp_and_date(record.time_date_stamp));
                line("checksum", format!("{:08X}", record.checksum));
            }
            None => {}
        }
        let mut last: Option<&Seen> = None;
        for seen in &history.seen {
            let is_new = last.is_none_or(|last| !seen.is_same_image(last) || seen.dump > last.dump + 1);
            if let (true, Some(record), Some(dump)) = (is_new, self.record(seen), self.dump(seen.dump)) {
                let version = record.file_version.map_or_else(String::new, |version| version_text(version) + ", ");
                let text = format!("{}, {version}{}", seen.base.windbg(self.width), stamp_text(record.time_date_stamp));
                line(&format!("from dump {dump}"), text);
            }
            last = Some(seen);
        }
        for unloads in &history.unloads {
            let all = self.series.unloaded_counts.get(unloads.dump).copied().flatten();
            if let Some((dump, all)) = self.dump(unloads.dump).zip(all) {
                let text = format!("{} of {} entries for unloaded modules", grouped(unloads.count), grouped(all));
                line(&format!("dump {dump}"), text);
            }
        }
        lines
    }
}

/// What changed, one line for each kind of change; nothing where all modules are the same.
pub fn change_lines(table: &ModuleTable) -> Vec<String> {
    let Some((from, to)) = table.dump(table.from).zip(table.dump(table.to)) else { return Vec::new() };
    let rows_of = |wanted: ModuleChange| -> Vec<usize> {
        (0..table.row_count()).filter(|row| table.change(*row) == Some(wanted)).collect()
    };
    let mut lines = Vec::new();
    let kinds = [
        (ModuleChange::Loaded, "was loaded", "were loaded"),
        (ModuleChange::Unloaded, "was unloaded", "were unloaded"),
        (ModuleChange::CameAndWent, "came and went", "came and went"),
        (ModuleChange::Reloaded, "was unloaded and loaded again", "were unloaded and loaded again"),
        (ModuleChange::Moved, "was moved to another address", "were moved to other addresses"),
        (ModuleChange::Replaced, "was replaced by another build", "were replaced by other builds"),
    ];
    for (change, one, several) in kinds {
        let rows = rows_of(change);
        if rows.is_empty() {
            continue;
        }
        let verb = if rows.len() == 1 { one } else { several };
        let noun = if rows.len() == 1 { "module" } else { "modules" };
        let name = |row: &usize| {
            let history = table.history(*row)?;
            let before = table.before(*row).map_or_else(String::new, |before| format!(" (before: {before})"));
            Some(format!("{}{before}", history.name))
        };
        let names = named(rows.iter().filter_map(name), rows.len());
        lines.push(format!("{} {noun} {verb} between dumps {from} and {to}: {names}", grouped(rows.len() as u64)));
    }
    let often: Vec<usize> = (0..table.row_count()).filter(|row| table.is_unloaded_often(*row)).collect();
    if let (false, Some(all)) = (often.is_empty(), table.series.unloaded_counts.get(table.to).copied().flatten()) {
        let name = |row: &usize| {
            let history = table.history(*row)?;
            Some(format!("{} ({} times)", history.name, grouped(history.unload_count(table.to)?)))
        };
        let names = named(often.iter().filter_map(name), often.len());
        lines.push(format!(
            "loaded and unloaded again and again, by the {} unloads that dump {to} remembers: {names}",
            grouped(all)
        ));
    }
    lines
}

fn named(names: impl Iterator<Item = String>, count: usize) -> String {
    let mut names: Vec<String> = names.take(MOST_NAMED).collect();
    if count > names.len() {
        names.push(format!("and {} more", grouped((count - names.len()) as u64)));
    }
    names.join(", ")
}

/// Rows in the form of WinDbg's `lm`, with what became of each; the first `most` of them.
pub fn lm_lines(table: &ModuleTable, rows: &[usize], most: usize) -> Vec<String> {
    let cell = |row: usize, column: usize| table.cell(row, column).value.display();
    let name_chars = rows.iter().take(most).map(|row| cell(*row, 2).chars().count()).max().unwrap_or(0).max(11);
    let (start, end, name) = ("start", "end", "module name");
    let width = Value::Address(Va(0), table.width).display().len();
    let mut lines = vec![format!("{start:<width$} {end:<width$} {name:<name_chars$} timestamp")];
    for row in rows.iter().take(most) {
        let name = cell(*row, 2);
        let mut line = format!("{} {} {name:<name_chars$} {:<9}", cell(*row, 0), cell(*row, 1), cell(*row, 12));
        let version = cell(*row, 11);
        if version != ABSENT_TEXT {
            line = format!("{line} {version}");
        }
        lines.push(format!("{line} {}", cell(*row, 3)));
    }
    if rows.len() > most {
        lines.push(format!("and {} more", grouped((rows.len() - most) as u64)));
    }
    lines
}

/// How many modules there are, and how many of them changed, for the line above the table.
pub fn summary(table: &ModuleTable) -> String {
    let loaded = table.series.histories.iter().filter(|history| history.at(table.to).is_some()).count();
    let is_only_remembered = |row: &usize| {
        table.history(*row).is_some_and(|history| history.seen.is_empty()) && table.change(*row).is_none()
    };
    let unloaded = (0..table.row_count()).filter(is_only_remembered).count();
    let to = table.dump(table.to).map_or_else(String::new, |dump| format!(" in dump {dump}"));
    let mut parts = vec![format!("{} modules{to}", grouped(loaded as u64))];
    for change in [
        ModuleChange::Loaded,
        ModuleChange::Unloaded,
        ModuleChange::CameAndWent,
        ModuleChange::Reloaded,
        ModuleChange::Moved,
        ModuleChange::Replaced,
    ] {
        let count = (0..table.row_count()).filter(|row| table.change(*row) == Some(change)).count();
        if count > 0 {
            parts.push(format!("{} {}", grouped(count as u64), change_word(change)));
        }
    }
    if unloaded > 0 {
        parts.push(format!("{} unloaded before", grouped(unloaded as u64)));
    }
    if table.series.left_out_count > 0 {
        parts.push(format!("{} not told apart", grouped(table.series.left_out_count)));
    }
    parts.join(", ")
}

/// A file version as Explorer shows it.
pub fn version_text([major, minor, build, revision]: [u16; 4]) -> String {
    format!("{major}.{minor}.{build}.{revision}")
}

/// As `lmv` and symbol stores write it.
pub fn stamp_text(time_date_stamp: u32) -> String {
    format!("{time_date_stamp:08X}")
}

/// The date is that of the link only where the linker wrote a time, which nothing tells.
fn stamp_and_date(time_date_stamp: u32) -> String {
    let date = UtcTime::from_unix_seconds(time_date_stamp);
    let date = date.map_or_else(String::new, |time| format!(" ({} UTC, if it is a time)", time.table_text()));
    stamp_text(time_date_stamp) + &date
}

fn range_text(range: VaRange, width: PointerWidth) -> String {
    format!("{} {}", range.start.windbg(width), range.end.windbg(width))
}

impl TableModel for ModuleTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.series.histories.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some((history, subject)) = self.history(row).zip(self.subject(row)) else {
            return Cell::new(Value::Absent);
        };
        let text = |text: Option<String>| Cell::new(text.map_or(Value::Absent, Value::Text));
        let count = |count: Option<usize>| Cell::new(count.map_or(Value::Absent, |count| Value::Count(count as u64)));
        let (range, path, stamp, record) = match &subject {
            Subject::Loaded(_, record) => (record.range(), &record.path, record.time_date_stamp, Some(*record)),
            Subject::Unloaded(record) => {
                (VaRange::from_size(record.base, record.size_bytes), &record.path, record.time_date_stamp, None)
            }
        };
        match column {
            0 => Cell::new(Value::Address(range.start, self.width)),
            1 => Cell::new(Value::Address(range.end, self.width)),
            2 => Cell::new(Value::text(windbg_module_name(&history.name))),
            3 => match self.change(row) {
                None if record.is_none() => Cell::toned(Value::text("unloaded before"), Tone::Dim),
                None => Cell::new(Value::Absent),
                Some(change) => {
                    let tone = match change {
                        ModuleChange::Same => Tone::Dim,
                        ModuleChange::Loaded | ModuleChange::CameAndWent => Tone::Growth,
                        ModuleChange::Unloaded => Tone::Shrink,
                        ModuleChange::Moved | ModuleChange::Reloaded => Tone::Normal,
                        ModuleChange::Replaced => Tone::Warning,
                    };
                    Cell::toned(Value::text(change_word(change)), tone)
                }
            },
            4 => text(self.before(row)),
            5 => count(history.seen.first().and_then(|seen| self.dump(seen.dump)).map(|dump| dump.0 + 1)),
            6 => count(history.seen.last().and_then(|seen| self.dump(seen.dump)).map(|dump| dump.0 + 1)),
            7 => {
                let known = self.series.unloaded_counts.get(self.to).copied().flatten();
                let tone = if self.is_unloaded_often(row) { Tone::Warning } else { Tone::Normal };
                Cell::toned(Value::count(known.map(|_| history.unload_count(self.to).unwrap_or(0))), tone)
            }
            8 => Cell::new(Value::Bytes(range.size_bytes())),
            9 => Cell::new(Value::bytes(self.committed(history.at(self.to), 1))),
            10 => Cell::delta(Value::delta(self.committed_delta(row))),
            11 => text(record.and_then(|record| record.file_version).map(version_text)),
            12 => text(Some(stamp_text(stamp))),
            13 => {
                let symbols = self.symbols.module_at(range.start).filter(|of| of.range == range && record.is_some());
                let tone = match symbols.map(|symbols| symbols.quality) {
                    Some(SymbolQuality::Pdb) => Tone::Shrink,
                    Some(SymbolQuality::Exports) => Tone::Normal,
                    Some(SymbolQuality::None) | None => Tone::Dim,
                };
                let word = symbols.map_or(Value::Absent, |symbols| Value::text(symbols.quality.word()));
                Cell::toned(word, tone)
            }
            14 => {
                let pdb = record.and_then(|record| record.pdb.as_ref());
                text(pdb.map(|pdb| crate::base::printable::file_name(&pdb.path).to_owned()))
            }
            15 => text(record.and_then(|record| record.pdb.as_ref()).map(|pdb| pdb.store_id.clone())),
            _ => text(path.clone()),
        }
    }

    fn windbg(&self, row: usize, _: usize) -> Option<String> {
        Some(match self.subject(row)? {
            Subject::Loaded(_, record) => windbg::module_at(record.base, self.width),
            Subject::Unloaded(_) => windbg::UNLOADED_MODULES.to_owned(),
        })
    }
}
