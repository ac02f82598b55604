//! Committed memory by use, at two points of the series.

use std::borrow::Cow;
use std::sync::Arc;

use crate::analysis::Analysis;
use crate::analysis::series::delta::{
    Change, committed_change, is_comparable, share_of_growth_percent, type_change, usage_change,
};
use crate::analysis::series::trend::{Point, Trend, trend};
use crate::base::ids::DumpIdx;
use crate::process::regions::MemoryType;
use crate::process::regions::totals::Sizes;
use crate::process::regions::usage::Usage;

use super::table::{Align, Cell, Column, TableModel, Tone};
use super::value::Value;
use super::windbg;
use super::words;

/// What the memory is divided by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Division {
    #[default]
    Use,
    Type,
}

/// One part of the memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Use(Usage),
    Type(MemoryType),
    /// Memory of a partial map, whose type is not known, is in no part of the division by type.
    All,
}

impl Division {
    pub fn parts(self) -> Vec<Part> {
        match self {
            Self::Use => Usage::IN_USE.into_iter().map(Part::Use).collect(),
            Self::Type => MemoryType::ALL.into_iter().map(Part::Type).collect(),
        }
    }
}

impl Part {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Use(usage) => words::usage_name(usage),
            Self::Type(memory_type) => words::type_name(memory_type),
            Self::All => "all",
        }
    }

    /// The use whose colour the part has. Types borrow the colours of the uses that they mostly hold.
    pub const fn colour(self) -> Usage {
        match self {
            Self::Use(usage) => usage,
            Self::Type(MemoryType::Image) => Usage::Image,
            Self::Type(MemoryType::Mapped) => Usage::MappedFile,
            Self::Type(MemoryType::Private) => Usage::Heap,
            Self::All => Usage::Unknown,
        }
    }

    fn sizes(self, analysis: &Analysis, dump: DumpIdx) -> Option<Sizes> {
        let totals = &analysis.snapshot(dump)?.address_space.totals;
        match self {
            Self::Use(usage) => totals.usage_sizes(usage),
            Self::Type(memory_type) => totals.type_sizes(memory_type),
            Self::All => Some(Sizes {
                committed_bytes: totals.committed_bytes()?,
                reserved_bytes: totals.reserved_bytes().unwrap_or(0),
                region_count: totals.entry_count().unwrap_or(0),
                ..Sizes::default()
            }),
        }
    }

    /// Committed bytes in one dump; `None` when it does not tell.
    pub fn committed_bytes(self, analysis: &Analysis, dump: DumpIdx) -> Option<u64> {
        self.sizes(analysis, dump).map(|sizes| sizes.committed_bytes)
    }

    /// The change from one dump to another.
    pub fn change(self, analysis: &Analysis, from: DumpIdx, to: DumpIdx) -> Option<Change> {
        let (from, to) = (analysis.snapshot(from)?, analysis.snapshot(to)?);
        Some(match self {
            Self::Use(usage) => usage_change(from, to, usage),
            Self::Type(memory_type) => type_change(from, to, memory_type),
            Self::All => committed_change(from, to),
        })
    }

    /// The trend over some dumps; `None` where they do not all count the same things.
    pub fn trend(self, analysis: &Analysis, dumps: &[DumpIdx]) -> Option<Trend> {
        if let Self::Use(usage) = self {
            let snapshots: Vec<_> = dumps.iter().filter_map(|dump| analysis.snapshot(*dump)).collect();
            let first = snapshots.first()?;
            if snapshots.iter().any(|other| !is_comparable(first, other, usage)) {
                return None;
            }
        }
        let points: Vec<Point> = dumps
            .iter()
            .map(|dump| Point {
                time: analysis.snapshot(*dump).and_then(|snapshot| snapshot.time()),
                bytes: self.committed_bytes(analysis, *dump),
            })
            .collect();
        trend(&points)
    }
}

/// One row a part, with the change over an interval of the series.
pub struct UseTable {
    analysis: Arc<Analysis>,
    division: Division,
    rows: Vec<Part>,
    interval: Vec<DumpIdx>,
}

const COLUMNS: [Column; 9] = [
    Column { title: "use", align: Align::Left, width_chars: 18, hint: "What the memory is for" },
    Column {
        title: "growth",
        align: Align::Right,
        width_chars: 8,
        hint: "Committed in the last dump of the interval less that in the first",
    },
    Column {
        title: "share",
        align: Align::Right,
        width_chars: 7,
        hint: "Share of the whole growth; absent when the whole did not grow",
    },
    Column {
        title: "slope",
        align: Align::Right,
        width_chars: 10,
        hint: "Straight line through all dumps of the interval",
    },
    Column {
        title: "before",
        align: Align::Right,
        width_chars: 8,
        hint: "Committed in the first dump of the interval",
    },
    Column { title: "after", align: Align::Right, width_chars: 8, hint: "Committed in the last dump of the interval" },
    Column {
        title: "rises",
        align: Align::Right,
        width_chars: 7,
        hint: "Steps up less steps down, of all steps: 100 % rises at each dump, -100 % falls at each",
    },
    Column {
        title: "reserved",
        align: Align::Right,
        width_chars: 8,
        hint: "Reserved and not committed, in the last dump",
    },
    Column {
        title: "regions",
        align: Align::Right,
        width_chars: 6,
        hint: "Regions in the last dump, split where uses begin and end",
    },
];

/// With one dump there is nothing to compare.
const ONE_DUMP_COLUMNS: [Column; 5] = [
    Column { title: "use", align: Align::Left, width_chars: 19, hint: "What the memory is for" },
    Column { title: "committed", align: Align::Right, width_chars: 9, hint: "Committed in this dump" },
    Column { title: "share", align: Align::Right, width_chars: 7, hint: "Share of all committed memory" },
    Column { title: "reserved", align: Align::Right, width_chars: 9, hint: "Reserved and not committed" },
    Column { title: "regions", align: Align::Right, width_chars: 8, hint: "Regions, split where uses begin and end" },
];

impl UseTable {
    /// `interval` holds the dumps from the first to the last point, at least one. Parts that no dump has are left out.
    pub fn new(analysis: Arc<Analysis>, division: Division, interval: Vec<DumpIdx>) -> Self {
        let is_shown = |part: &Part| {
            let sizes = interval.iter().filter_map(|dump| part.sizes(&analysis, *dump));
            sizes.map(|sizes| sizes.region_count).max() != Some(0)
        };
        let rows = division.parts().into_iter().filter(is_shown).chain([Part::All]).collect();
        Self { analysis, division, rows, interval }
    }

    pub fn part(&self, row: usize) -> Option<Part> {
        self.rows.get(row).copied()
    }
}

impl UseTable {
    fn series_cell(&self, part: Part, from: DumpIdx, to: DumpIdx, column: usize) -> Cell {
        let change = part.change(&self.analysis, from, to);
        let trend = || part.trend(&self.analysis, &self.interval);
        match column {
            1 => Cell::delta(Value::delta(change.and_then(Change::delta))),
            2 => {
                let whole = Part::All.change(&self.analysis, from, to);
                let share = change.zip(whole).and_then(|(part, whole)| share_of_growth_percent(part, whole));
                Cell::new(share.map_or(Value::Absent, Value::Percent))
            }
            4 => Cell::new(Value::bytes(change.and_then(|change| change.from_bytes))),
            5 => Cell::new(Value::bytes(change.and_then(|change| change.to_bytes))),
            3 => Cell::new(trend().map_or(Value::Absent, |trend| Value::BytesPerHour(trend.bytes_per_hour))),
            6 => Cell::new(trend().map_or(Value::Absent, |trend| Value::Percent(trend.monotony * 100.0))),
            7 => self.reserved(part, to),
            _ => self.region_count(part, to),
        }
    }

    fn one_dump_cell(&self, part: Part, dump: DumpIdx, column: usize) -> Cell {
        let committed = part.committed_bytes(&self.analysis, dump);
        match column {
            1 => Cell::new(Value::bytes(committed)),
            2 => {
                let all = Part::All.committed_bytes(&self.analysis, dump).filter(|all| *all > 0);
                let share = committed.zip(all).map(|(part, all)| part as f64 * 100.0 / all as f64);
                Cell::new(share.map_or(Value::Absent, Value::Percent))
            }
            3 => self.reserved(part, dump),
            _ => self.region_count(part, dump),
        }
    }

    fn reserved(&self, part: Part, dump: DumpIdx) -> Cell {
        Cell::new(Value::bytes(part.sizes(&self.analysis, dump).map(|sizes| sizes.reserved_bytes)))
    }

    fn region_count(&self, part: Part, dump: DumpIdx) -> Cell {
        Cell::new(Value::count(part.sizes(&self.analysis, dump).map(|sizes| sizes.region_count)))
    }
}

impl TableModel for UseTable {
    fn columns(&self) -> &[Column] {
        if self.interval.len() > 1 { &COLUMNS } else { &ONE_DUMP_COLUMNS }
    }

    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn title(&self, column: usize) -> Cow<'_, str> {
        let title = self.columns().get(column).map_or("", |column| column.title);
        Cow::Borrowed(if column == 0 && self.division == Division::Type { "type" } else { title })
    }

    fn cell(&self, row: usize, column: usize) -> Cell {
        match (self.part(row), &self.interval[..]) {
            (Some(Part::All), [_, ..]) if column == 0 => Cell::new(Value::text(Part::All.name())),
            (Some(part), [_, ..]) if column == 0 => Cell::toned(Value::text(part.name()), Tone::Use(part.colour())),
            (Some(part), [only]) => self.one_dump_cell(part, *only, column),
            (Some(part), [from, .., to]) => self.series_cell(part, *from, *to, column),
            _ => Cell::new(Value::Absent),
        }
    }

    fn windbg(&self, row: usize, _: usize) -> Option<String> {
        Some(match self.part(row)? {
            Part::Use(usage) => windbg::regions_of_use(usage),
            Part::Type(memory_type) => windbg::regions_of_type(memory_type).to_owned(),
            Part::All => windbg::ADDRESS_SUMMARY.to_owned(),
        })
    }
}
