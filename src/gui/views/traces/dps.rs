//! The memory of a store, pointer by pointer as dps lists it, and the fields of the entry that a line is in.

use std::sync::Arc;

use eframe::egui::{self, Frame, Key, Label, Margin, Panel, RichText, ScrollArea, TextEdit, Ui, WidgetInfo};

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::dps::DpsTable;
use crate::present::table::TableModel;
use crate::present::words::MEMORY_NOT_IN_CAPSULE;
use crate::process::regions::State;
use crate::process::traces::{Entry, StoreHeader, entry_around};

use super::{Shown, TracesState, stack};

#[derive(Default)]
pub(super) struct DpsState {
    table: TableState,
    /// What is typed into the address field.
    typed: String,
    is_typed_wrong: bool,
    /// Where the listing stands.
    at: Option<Va>,
    has_moved: bool,
    built: Option<(u64, Arc<DpsTable>)>,
}

impl DpsState {
    pub fn go_to(&mut self, va: Va) {
        self.at = Some(va);
        self.has_moved = true;
        self.typed.clear();
        self.is_typed_wrong = false;
    }
}

pub(super) fn dps_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState, shown: &Shown) {
    if shown.snapshot.dump.memory.is_left_out() {
        ui.weak(MEMORY_NOT_IN_CAPSULE);
        return;
    }
    let known = state.dps.at.filter(|va| listed_range(shown, *va).is_some());
    let at = known.or_else(|| first_place(shown));
    if let Some(first) = at.filter(|_| known.is_none()) {
        state.dps.go_to(first);
    }
    let Some((at, range)) = at.and_then(|at| Some((at, listed_range(shown, at)?))) else {
        ui.weak(format!("The memory of the stores is not in dump {}.", shown.to));
        return;
    };
    let entry = entry_near(shown, at);
    let table = build(ctx, state, shown, range, entry.as_ref().map(|(header, _)| header.width));
    address_ui(ui, ctx, state, shown, &table, entry.as_ref());
    let fields_width = (ui.available_width() * 0.36).clamp(200.0, 700.0);
    Panel::right("entry")
        .resizable(true)
        .default_size(fields_width)
        .min_size(160.0)
        .frame(Frame::new().inner_margin(Margin { left: 8, right: 0, top: 0, bottom: 0 }))
        .show(ui, |ui| entry_panel_ui(ui, ctx, state, shown, entry.as_ref()));
    state.dps.table.set_filter(&state.filter.with.clone());
    let model: Arc<dyn TableModel> = Arc::<DpsTable>::clone(&table);
    let options = TableOptions {
        id: "dps",
        model_key: model_key(&(ctx.session.generation, shown.to, range)),
        bar: Bar::Rows,
        is_sortable: false,
        selected_row: table.row_of(at),
        reveal_selected: std::mem::take(&mut state.dps.has_moved),
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.dps.table, &options);
    if let Some(va) = output.clicked.and_then(|row| table.address(row)) {
        state.dps.at = Some(va);
    }
    ctx.send_texts(output, || format!("dps-dump-{}.csv", shown.to));
}

/// The committed region around an address, from a pointer's place on.
fn listed_range(shown: &Shown, va: Va) -> Option<VaRange> {
    let region = shown.snapshot.address_space.region_at(va).filter(|region| region.state == State::Commit)?;
    Some(region.range)
}

/// The first entry of the selected stack, else the start of the first store.
fn first_place(shown: &Shown) -> Option<Va> {
    let of_stack = |row: &u32| {
        let first = shown.stacks.counts(*row as usize, shown.interval.to)?.first_entry;
        (!first.is_null()).then_some(first)
    };
    let first_store = || shown.snapshot.trace_stores.first().map(|store| store.base);
    shown.rows.iter().take(1).find_map(of_stack).or_else(first_store)
}

fn entry_near(shown: &Shown, va: Va) -> Option<(StoreHeader, Entry)> {
    let memory = &shown.snapshot.dump.memory;
    let is_home = |header: &&StoreHeader| header.regions().iter().any(|home| home.contains(va));
    let header = shown.snapshot.trace_stores.iter().find(is_home)?;
    Some((header.clone(), entry_around(memory, header, va)?))
}

fn build(
    ctx: &ViewCtx<'_>,
    state: &mut TracesState,
    shown: &Shown,
    range: VaRange,
    width: Option<PointerWidth>,
) -> Arc<DpsTable> {
    // In a 64-bit dump a 32-bit store is listed in its own width; elsewhere the dump's.
    let store_width = || shown.snapshot.trace_stores.iter().find(|store| store.reserved.contains(range.start));
    let width =
        width.or_else(|| store_width().map(|store| store.width)).unwrap_or_else(|| shown.snapshot.pointer_width());
    let key = model_key(&(ctx.session.generation, shown.to, range, width));
    let known = state.dps.built.take().filter(|(known, _)| *known == key);
    let built = known.unwrap_or_else(|| {
        let (snapshot, symbols) = (Arc::clone(&shown.snapshot), Arc::clone(&shown.naming.symbols));
        (key, Arc::new(DpsTable::new(snapshot, symbols, range, width)))
    });
    let table = Arc::clone(&built.1);
    state.dps.built = Some(built);
    table
}

fn address_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    state: &mut TracesState,
    shown: &Shown,
    table: &DpsTable,
    entry: Option<&(StoreHeader, Entry)>,
) {
    ui.horizontal(|ui| {
        let edit = TextEdit::singleline(&mut state.dps.typed).hint_text("Go to address…").desired_width(150.0);
        let response = ui.add(edit);
        response.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "Go to address"));
        if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
            match Va::parse(&state.dps.typed).filter(|va| listed_range(shown, *va).is_some()) {
                Some(va) => state.dps.go_to(va),
                None => state.dps.is_typed_wrong = true,
            }
        }
        if state.dps.is_typed_wrong {
            let text = format!("no committed memory of dump {} lies there", shown.to);
            ui.label(RichText::new(text).color(ctx.theme.warning));
        }
        let (start, end) = (table.range.start.windbg(table.width), table.range.end.windbg(table.width));
        ui.weak(format!("Dump {}, {start} to {end}", shown.to));
        if let Some((_, entry)) = entry {
            let button = ui.small_button("Copy entry as dps text").on_hover_text("In WinDbg's form");
            if button.clicked() {
                let count = entry.size_bytes.div_ceil(table.width.bytes());
                ctx.send(Command::CopyText(table.text(entry.va, count)));
            }
        }
    });
}

fn entry_panel_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    state: &mut TracesState,
    shown: &Shown,
    entry: Option<&(StoreHeader, Entry)>,
) {
    let Some((header, entry)) = entry else {
        ui.weak("This line is in no entry: header, buckets, index pointers or free room.");
        return;
    };
    ui.strong(format!("Entry at {}", entry.va.windbg(header.width)));
    ScrollArea::both().id_salt("entry").auto_shrink(false).show(ui, |ui| {
        stack::entry_ui(ui, header, entry);
        ui.add_space(6.0);
        ui.add(Label::new(RichText::new("Frames, innermost first").weak()).truncate());
        for va in &entry.frames {
            stack::frame_ui(ui, ctx, state, &shown.naming, *va, header.width, false);
        }
        let next = entry.next_in_bucket;
        if !next.is_null() && ui.small_button("Next entry of the bucket").clicked() {
            state.dps.go_to(next);
        }
    });
}
