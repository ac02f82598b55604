//! Where each module's names come from: what was tried, where, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analysis::snapshot::Snapshot;
use crate::base::units::grouped;
use crate::input::symbols::{Attempt, ModuleSymbols, Outcome, SymbolQuality, SymbolTable};

use super::table::{Align, Cell, Column, TableModel, Tone};
use super::value::Value;

/// The modules of one dump, one row each.
pub struct SymbolsTable {
    snapshot: Arc<Snapshot>,
    symbols: Arc<SymbolTable>,
}

const COLUMNS: [Column; 6] = [
    Column { title: "module", align: Align::Left, width_chars: 20, hint: "As WinDbg names it" },
    Column { title: "symbols", align: Align::Left, width_chars: 8, hint: "pdb, exports alone, or none" },
    Column { title: "what came of it", align: Align::Left, width_chars: 48, hint: "In one sentence" },
    Column { title: "PDB", align: Align::Left, width_chars: 18, hint: "The name that the image gives" },
    Column {
        title: "PDB id",
        align: Align::Left,
        width_chars: 34,
        hint: "GUID and age, as a symbol store names the folder",
    },
    Column { title: "base", align: Align::Left, width_chars: 18, hint: "Where the image begins" },
];

impl SymbolsTable {
    pub const fn new(snapshot: Arc<Snapshot>, symbols: Arc<SymbolTable>) -> Self {
        Self { snapshot, symbols }
    }

    pub fn module(&self, row: usize) -> Option<&ModuleSymbols> {
        self.symbols.modules().get(row)
    }

    /// What was tried for a row, in order, one line each, as `!sym noisy` tells it.
    pub fn attempt_lines(&self, row: usize) -> Vec<String> {
        self.module(row).map(|module| module.attempts.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }
}

/// How many modules have which names, in a few words.
pub fn symbols_summary(symbols: &SymbolTable) -> String {
    let count = |quality: SymbolQuality| symbols.modules().iter().filter(|module| module.quality == quality).count();
    let all = grouped(symbols.modules().len() as u64);
    format!(
        "symbols: {} of {all} modules by PDB, {} by exports",
        count(SymbolQuality::Pdb),
        count(SymbolQuality::Exports)
    )
}

/// What came of each server, one line each: what it gave, or why it was not asked.
pub fn server_lines(symbols: &SymbolTable) -> Vec<String> {
    let mut servers: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in symbols.modules().iter().flat_map(|module| &module.attempts) {
        if attempt.place.starts_with("server ") {
            servers.entry(&attempt.place).or_default().push(attempt);
        }
    }
    let line = |(place, attempts): (&str, Vec<&Attempt>)| {
        let count =
            |is_such: &dyn Fn(&Outcome) -> bool| attempts.iter().filter(|attempt| is_such(&attempt.outcome)).count();
        let silent = attempts.iter().find_map(|attempt| match &attempt.outcome {
            Outcome::NotAsked(why) => Some(format!("not asked: {why}")),
            Outcome::NoAnswer(why) => Some(format!("no answer: {why}")),
            _ => None,
        });
        let mut parts = Vec::new();
        for (number, what) in [
            (count(&|outcome| matches!(outcome, Outcome::Remark(_))), "downloaded"),
            (count(&|outcome| *outcome == Outcome::NotThere), "not there"),
            (count(&|outcome| matches!(outcome, Outcome::Refused(_))), "refused"),
        ] {
            if number > 0 {
                parts.push(format!("{} {what}", grouped(number as u64)));
            }
        }
        parts.extend(silent);
        format!("{place}: {}", parts.join(", "))
    };
    servers.into_iter().map(line).collect()
}

/// How many modules have a PDB, for a status bar.
pub fn symbols_in_short(symbols: &SymbolTable) -> String {
    let found = symbols.modules().iter().filter(|module| module.quality == SymbolQuality::Pdb).count();
    format!("PDBs: {found} of {} modules", symbols.modules().len())
}

impl TableModel for SymbolsTable {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn row_count(&self) -> usize {
        self.symbols.modules().len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        let Some(module) = self.module(row) else { return Cell::new(Value::Absent) };
        let start = module.range.start;
        let record = || self.snapshot.dump.modules.iter().flatten().find(|record| record.base == start);
        let pdb = || record().and_then(|record| record.pdb.as_ref());
        let text = |text: Option<String>| text.map_or(Value::Absent, Value::Text);
        match column {
            0 => Cell::new(Value::text(module.name.clone())),
            1 => {
                let tone = match module.quality {
                    SymbolQuality::Pdb => Tone::Shrink,
                    SymbolQuality::Exports => Tone::Normal,
                    SymbolQuality::None => Tone::Dim,
                };
                Cell::toned(Value::text(module.quality.word()), tone)
            }
            2 => Cell::new(Value::text(module.note.clone())),
            3 => Cell::new(text(pdb().map(|pdb| crate::base::printable::file_name(&pdb.path).to_owned()))),
            4 => Cell::new(text(pdb().map(|pdb| pdb.store_id.clone()))),
            _ => Cell::new(Value::Address(start, self.snapshot.pointer_width())),
        }
    }
}
