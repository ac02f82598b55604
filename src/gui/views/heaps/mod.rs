//! The process heaps: their figures as `!heap -s` lists them, what each did over the series, and their blocks.

mod blocks;
mod detail;
mod sizes;
mod trend;

use std::sync::Arc;

use eframe::egui::{Frame, Label, Margin, Panel, RichText, ScrollArea, Ui};

use crate::analysis::series::heaps::{HeapHistory, SeriesHeaps};
use crate::analysis::snapshot::Snapshot;
use crate::base::addr::{PointerWidth, Va};
use crate::base::ids::DumpIdx;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::heaps::heap_table::{FIRST_SORT, HeapTable};
use crate::present::heaps::heaps_of;
use crate::present::heaps::summary::heap_summary;
use crate::present::heaps::verdict::{outstanding_lines, verdict_lines};
use crate::present::table::TableModel;
use crate::present::traces::stack_table::StackInterval;
use crate::present::windbg;

/// What the tab remembers.
pub struct HeapsState {
    mode: Mode,
    table: TableState,
    /// The heap that the views below show.
    selected: Option<(Va, PointerWidth)>,
    trend: trend::TrendState,
    sizes: sizes::SizesState,
    blocks: blocks::BlocksState,
}

impl Default for HeapsState {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            table: TableState::sorted(FIRST_SORT),
            selected: None,
            trend: trend::TrendState::default(),
            sizes: sizes::SizesState::default(),
            blocks: blocks::BlocksState::default(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    #[default]
    Heaps,
    Blocks,
    Listing,
}

const MODES: [(Mode, &str, &str); 3] = [
    (Mode::Heaps, "Heaps", "All heaps, and what the selected one did over the series"),
    (Mode::Blocks, "Blocks", "The blocks of the selected heap, each with its memory and the stack that allocated it"),
    (Mode::Listing, "!heap -s", "The figures of all heaps as WinDbg prints them"),
];

/// What all modes show.
struct Shown {
    heaps: Arc<SeriesHeaps>,
    table: Arc<HeapTable>,
    interval: StackInterval,
    from: DumpIdx,
    to: DumpIdx,
    /// Of the dump `to`.
    snapshot: Arc<Snapshot>,
    /// Row of the selected heap.
    row: Option<usize>,
}

impl Shown {
    /// Position of the selected heap among the heaps of a dump of the series.
    fn position(&self, dump: usize) -> Option<usize> {
        self.heaps.histories.get(self.row?)?.positions.get(dump).copied().flatten()
    }

    /// The name of the selected heap in sentences.
    fn heap_text(&self) -> String {
        let history = self.row.and_then(|row| self.heaps.histories.get(row));
        history.map_or_else(String::new, |history| format!("Heap {}", history.base.windbg(history.width)))
    }
}

pub fn heaps_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut HeapsState) {
    let Some(shown) = shown(ctx, state) else {
        nothing_ui(ui, ctx);
        return;
    };
    verdict_ui(ui, ctx, &shown);
    mode_ui(ui, state, &shown);
    ui.add_space(2.0);
    match state.mode {
        Mode::Heaps => overview_ui(ui, ctx, state, &shown),
        Mode::Blocks => blocks::blocks_ui(ui, ctx, &mut state.blocks, &shown),
        Mode::Listing => listing_ui(ui, ctx, &shown),
    }
}

fn shown(ctx: &ViewCtx<'_>, state: &HeapsState) -> Option<Shown> {
    let (from, to) = ctx.session.ends()?;
    let group = ctx.session.group()?;
    let heaps = Arc::clone(ctx.session.analysis.heaps_of(group)?);
    let interval = StackInterval::new(group.dumps.clone(), from, to)?;
    if heaps.histories.is_empty() {
        return None;
    }
    let snapshot = Arc::clone(ctx.session.analysis.snapshot(to)?);
    // A finding leads to a heap by its address; a click in the table leads on from there.
    let wanted =
        |row: &usize, is_wanted: &dyn Fn(&HeapHistory) -> bool| heaps.histories.get(*row).is_some_and(is_wanted);
    let pointed_at = pointed_at(ctx);
    let committed = |row: &usize| {
        let sizes = heaps.histories.get(*row).and_then(|heap| heap.sizes.get(interval.to).copied().flatten());
        sizes.map(|sizes| sizes.committed_bytes)
    };
    let rows = 0..heaps.histories.len();
    let row = rows
        .clone()
        .find(|row| wanted(row, &|heap| pointed_at == Some(heap.base)))
        .or_else(|| rows.clone().find(|row| wanted(row, &|heap| state.selected == Some((heap.base, heap.width)))))
        .or_else(|| rows.max_by_key(|row| (committed(row), std::cmp::Reverse(*row))));
    let table = Arc::new(HeapTable::new(Arc::clone(&heaps), interval.clone()));
    Some(Shown { heaps, table, interval, from, to, snapshot, row })
}

fn pointed_at(ctx: &ViewCtx<'_>) -> Option<Va> {
    match ctx.session.selected {
        Some(Item::Region { start, .. }) => Some(start),
        _ => None,
    }
}

/// The answer first: do the heaps grow?
fn verdict_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, shown: &Shown) {
    let analysis = &ctx.session.analysis;
    for (number, line) in verdict_lines(analysis, shown.from, shown.to).into_iter().enumerate() {
        let line = capitalised(&line);
        let text = if number == 0 { RichText::new(line).strong().size(15.0) } else { RichText::new(line) };
        ui.add(Label::new(text).wrap());
    }
    for line in outstanding_lines(analysis, shown.to) {
        let text = RichText::new(capitalised(&line)).weak();
        ui.add(Label::new(text).wrap());
    }
    ui.add_space(2.0);
}

fn capitalised(line: &str) -> String {
    let mut chars = line.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn mode_ui(ui: &mut Ui, state: &mut HeapsState, shown: &Shown) {
    ui.horizontal(|ui| {
        for (mode, name, hint) in MODES {
            ui.selectable_value(&mut state.mode, mode, name).on_hover_text(hint);
        }
        ui.separator();
        let text = match state.mode {
            Mode::Blocks => format!("{} in dump {}.", shown.heap_text(), shown.to),
            _ if shown.from == shown.to => format!("Dump {}.", shown.to),
            _ => format!("Dumps {} to {}. Choose others with the plot or the list of dumps.", shown.from, shown.to),
        };
        ui.add(Label::new(RichText::new(text).weak()).truncate());
    });
}

/// All heaps, and below them the selected one: how it goes, and its blocks by size.
fn overview_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut HeapsState, shown: &Shown) {
    let below = (ui.available_height() * 0.58).max(160.0);
    Panel::bottom("heap detail")
        .resizable(true)
        .default_size(below)
        .min_size(140.0)
        .frame(Frame::new().inner_margin(Margin { left: 0, right: 0, top: 6, bottom: 0 }))
        .show(ui, |ui| {
            let width = (ui.available_width() * 0.5).max(240.0);
            Panel::right("heap sizes")
                .resizable(true)
                .default_size(width)
                .min_size(220.0)
                .frame(Frame::new().inner_margin(Margin { left: 8, right: 0, top: 0, bottom: 0 }))
                .show(ui, |ui| {
                    if let Some(size_bytes) = sizes::sizes_ui(ui, ctx, &mut state.sizes, shown) {
                        state.blocks.show_size(size_bytes);
                        state.mode = Mode::Blocks;
                    }
                });
            trend::trend_ui(ui, ctx, &mut state.trend, shown);
        });
    let model: Arc<dyn TableModel> = Arc::<HeapTable>::clone(&shown.table);
    let options = TableOptions {
        id: "heaps",
        model_key: model_key(&(ctx.session.generation, shown.from, shown.to)),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row: shown.row,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.table, &options);
    let chosen = output.double_clicked.or(output.clicked);
    if let Some(history) = chosen.and_then(|row| shown.heaps.histories.get(row)) {
        state.selected = Some((history.base, history.width));
        if pointed_at(ctx).is_some() {
            ctx.send(Command::Select(Item::Dump(shown.to)));
        }
    }
    if output.double_clicked.is_some() {
        state.mode = Mode::Blocks;
    }
    ctx.send_texts(output, || format!("heaps-{}-{}.csv", shown.from, shown.to));
}

/// The heaps of the dump as `!heap -s` prints them, one list for each bitness.
fn listing_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, shown: &Shown) {
    let Some(heaps) = heaps_of(&ctx.session.analysis, shown.to) else { return };
    ScrollArea::both().id_salt("heap listing").auto_shrink(false).show(ui, |ui| {
        for peb in &shown.snapshot.pebs {
            let text = heap_summary(&shown.snapshot, heaps, peb.width);
            ui.horizontal(|ui| {
                if shown.snapshot.pebs.len() > 1 {
                    ui.strong(format!("{}-bit heaps of dump {}", peb.width.bits(), shown.to));
                } else {
                    ui.strong(format!("Dump {}", shown.to));
                }
                if ui.small_button("Copy").on_hover_text("Copy as WinDbg prints it").clicked() {
                    ctx.send(Command::CopyText(text.clone()));
                }
                ctx.windbg_button(ui, windbg::HEAP_SUMMARY);
            });
            ui.add(Label::new(RichText::new(text).monospace()).extend());
            ui.add_space(8.0);
        }
    });
}

fn nothing_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let has_heaps = ctx.session.analysis.snapshots.iter().any(|snapshot| !snapshot.heaps.is_empty());
    let text = if has_heaps && ctx.session.analysis.heaps.is_none() {
        "The heaps are being decoded. When that was cancelled, F5 reads the files again."
    } else {
        "The list of process heaps is not in the dumps of this process. It is in dumps with full memory: procdump -ma."
    };
    ui.vertical_centered(|ui| {
        ui.set_max_width(560.0);
        ui.add_space(ui.available_height() * 0.25);
        ui.heading("Heaps");
        ui.add_space(8.0);
        ui.add(Label::new(text).wrap());
    });
}
