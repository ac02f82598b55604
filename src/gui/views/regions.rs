//! The regions of one dump with the address strip, or the difference of two dumps.

use std::sync::Arc;

use eframe::egui::{Frame, Label, Margin, Panel, RichText, Ui};

use crate::analysis::series::allocations::{Fate, fate_totals};
use crate::analysis::snapshot::Snapshot;
use crate::base::addr::{Va, VaRange};
use crate::base::ids::DumpIdx;
use crate::base::units::{ByteSize, grouped};
use crate::gui::background::Background;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::tab::Tab;
use crate::gui::widgets::strip::{StripState, strip_ui};
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::allocations::{AllocationTable, FIRST_SORT, fate_name};
use crate::present::regions::{RegionTable, windbg_line};
use crate::present::strip::{Stripe, StripeKind, stripes};
use crate::present::table::TableModel;
use crate::present::windbg;
use crate::present::words::{usage_hint, usage_name};
use crate::process::regions::usage::Usage;

/// What the tab remembers.
pub struct RegionsState {
    mode: Mode,
    regions: TableState,
    changes: TableState,
    region_model: Option<(u64, DumpIdx, Arc<RegionTable>)>,
    change_model: Background<(u64, DumpIdx, DumpIdx), Arc<AllocationTable>>,
    strip: StripState,
    stripes: Option<(StripKey, Vec<Stripe>)>,
    window: Option<VaRange>,
    /// What was selected in the last frame, to scroll to what another view selected.
    seen: Option<Item>,
}

impl Default for RegionsState {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            regions: TableState::default(),
            changes: TableState::sorted(FIRST_SORT),
            region_model: None,
            change_model: Background::default(),
            strip: StripState::default(),
            stripes: None,
            window: None,
            seen: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    #[default]
    OneDump,
    Difference,
}

type StripKey = (u64, DumpIdx, Option<VaRange>);

pub fn regions_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut RegionsState) {
    let Some((dump, snapshot)) = ctx.session.dump().zip(ctx.session.snapshot()) else { return };
    mode_ui(ui, ctx, state, dump);
    strip_area_ui(ui, ctx, state, dump, snapshot);
    match state.mode {
        Mode::OneDump => one_dump_ui(ui, ctx, state, dump, snapshot),
        Mode::Difference => difference_ui(ui, ctx, state),
    }
    state.seen = ctx.session.selected;
}

fn mode_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut RegionsState, dump: DumpIdx) {
    ui.horizontal(|ui| {
        ui.selectable_value(&mut state.mode, Mode::OneDump, format!("Dump {dump}"));
        if let Some((from, to)) = ctx.session.ends().filter(|(from, to)| from != to) {
            let text = format!("Difference of dumps {from} and {to}");
            ui.selectable_value(&mut state.mode, Mode::Difference, text)
                .on_hover_text("Choose others with the plot or the list of dumps");
        } else {
            state.mode = Mode::OneDump;
        }
        if state.window.is_some() && ui.small_button("Whole address space").clicked() {
            state.window = None;
        }
    });
}

fn strip_area_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut RegionsState, dump: DumpIdx, snapshot: &Snapshot) {
    let key = (ctx.session.generation, dump, state.window);
    let known = state.stripes.take().filter(|(known, _)| *known == key);
    let (key, laid_out) = known.unwrap_or_else(|| (key, stripes(&snapshot.address_space, state.window)));
    let selected =
        selected_region(ctx, dump).and_then(|start| snapshot.address_space.region_at(start)).map(|region| region.range);
    let output = strip_ui(ui, ctx.theme, &laid_out, selected, &mut state.strip);
    let width = snapshot.pointer_width();
    let hint = match output.hovered {
        Some(stripe) => {
            let what = match stripe.kind {
                StripeKind::Committed(usage) => format!("{}, committed", usage_name(usage)),
                StripeKind::Reserved(usage) => format!("{}, reserved", usage_name(usage)),
                StripeKind::Gap => "free".to_owned(),
            };
            let (start, end) = (stripe.range.start.windbg(width), stripe.range.end.windbg(width));
            format!("{start} – {end}  {}  {what}", ByteSize(stripe.range.size_bytes()))
        }
        None => "Address space: reserved memory is pale; it and free gaps are drawn short. Wheel or drag to zoom."
            .to_owned(),
    };
    ui.add(Label::new(RichText::new(hint).small().weak()).truncate());
    if let Some(stripe) = output.clicked.filter(|stripe| stripe.kind != StripeKind::Gap) {
        ctx.send(Command::Select(Item::Region { dump, start: stripe.range.start }));
    }
    if let Some(window) = output.zoom {
        state.window = window;
    }
    state.stripes = Some((key, laid_out));
}

fn selected_region(ctx: &ViewCtx<'_>, dump: DumpIdx) -> Option<Va> {
    match ctx.session.selected {
        Some(Item::Region { dump: selected, start }) if selected == dump => Some(start),
        _ => None,
    }
}

fn one_dump_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut RegionsState, dump: DumpIdx, snapshot: &Arc<Snapshot>) {
    let generation = ctx.session.generation;
    let known = state.region_model.take().filter(|(g, d, _)| (*g, *d) == (generation, dump));
    let (_, _, table) = known.unwrap_or_else(|| (generation, dump, Arc::new(RegionTable::new(Arc::clone(snapshot)))));
    let selected = selected_region(ctx, dump);
    let selected_row = selected.and_then(|start| row_of(snapshot, start));
    if let Some(row) = selected_row {
        details_ui(ui, ctx, snapshot, row);
    }
    let model: Arc<dyn TableModel> = Arc::<RegionTable>::clone(&table);
    let options = TableOptions {
        id: "regions",
        model_key: model_key(&(generation, dump)),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row,
        reveal_selected: ctx.session.selected != state.seen && selected_row.is_some(),
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.regions, &options);
    if let Some(region) = output.clicked.and_then(|row| table.region(row)) {
        let item = Item::Region { dump, start: region.range.start };
        // The table is where it was clicked: nothing to scroll to.
        state.seen = Some(item);
        ctx.send(Command::Select(item));
    }
    let opened = output.double_clicked.and_then(|row| table.region(row));
    if let Some(region) = opened.filter(|region| region.usage == Usage::StackTraceDatabase) {
        ctx.send(Command::Select(Item::Region { dump, start: region.range.start }));
        ctx.send(Command::Show(Tab::Traces));
    }
    ctx.send_texts(output, || format!("regions-dump-{dump}.csv"));
    state.region_model = Some((generation, dump, table));
}

fn row_of(snapshot: &Snapshot, start: Va) -> Option<usize> {
    let regions = &snapshot.address_space.regions;
    let after = regions.partition_point(|region| region.range.start <= start);
    after.checked_sub(1).filter(|row| regions.get(*row).is_some_and(|region| region.range.contains(start)))
}

/// The selected region as `!address` shows it, and what its use means.
fn details_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, snapshot: &Snapshot, row: usize) {
    let Some(region) = snapshot.address_space.regions.get(row) else { return };
    Panel::bottom("region details").frame(Frame::new().inner_margin(Margin::symmetric(0, 6))).show(ui, |ui| {
        let line = windbg_line(region, snapshot);
        ui.horizontal(|ui| {
            ui.strong(usage_name(region.usage));
            if region.usage == Usage::StackTraceDatabase && ui.small_button("Show its stacks").clicked() {
                ctx.send(Command::Show(Tab::Traces));
            }
            if ui.small_button("Copy as WinDbg text").on_hover_text("The line that !address shows").clicked() {
                ctx.send(Command::CopyText(line.clone()));
            }
            ctx.windbg_button(ui, &windbg::address(region.range.start, snapshot.pointer_width()));
            ui.add(Label::new(RichText::new(usage_hint(region.usage)).weak()).truncate());
        });
        ui.add(Label::new(RichText::new(&line).monospace()).truncate());
        if let Some(base) = region.allocation_base {
            ui.weak(format!("allocation base {}", base.windbg(snapshot.pointer_width())));
        }
    });
}

fn difference_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut RegionsState) {
    let generation = ctx.session.generation;
    let ends = ctx.session.ends();
    let snapshots = ends.and_then(|(from, to)| {
        Some((Arc::clone(ctx.session.analysis.snapshot(from)?), Arc::clone(ctx.session.analysis.snapshot(to)?)))
    });
    let (Some((from_dump, to_dump)), Some((from, to))) = (ends, snapshots) else { return };
    let key = (generation, from_dump, to_dump);
    let made = state.change_model.get(ui.ctx(), &key, move |_| Ok(Arc::new(AllocationTable::new(from, to))));
    let Some(table) = made.map(Arc::clone) else {
        ui.weak("Comparing…");
        return;
    };
    fates_ui(ui, &table);
    let model: Arc<dyn TableModel> = Arc::<AllocationTable>::clone(&table);
    let options = TableOptions {
        id: "changes",
        model_key: model_key(&key),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row: None,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.changes, &options);
    let double_clicked = output.double_clicked.and_then(|row| table.changes().get(row));
    ctx.send_texts(output, || format!("difference-{from_dump}-{to_dump}.csv"));
    if let Some(allocation) = double_clicked.and_then(|change| change.latest()) {
        state.mode = Mode::OneDump;
        let dump = ctx.session.dump().unwrap_or(to_dump);
        ctx.send(Command::Select(Item::Region { dump, start: allocation.range.start }));
    }
}

fn fates_ui(ui: &mut Ui, table: &AllocationTable) {
    let totals = fate_totals(table.changes());
    let parts: Vec<String> = totals
        .iter()
        .map(|(fate, (count, delta))| match fate {
            Fate::Same => format!("{} {}", grouped(*count), fate_name(*fate)),
            _ => format!("{} {} ({delta})", grouped(*count), fate_name(*fate)),
        })
        .collect();
    ui.label(format!("Allocations: {}", parts.join(", ")));
}
