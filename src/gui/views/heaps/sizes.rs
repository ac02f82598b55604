//! The blocks of the selected heap by size: a histogram, and a table of the exact sizes.

use std::sync::Arc;

use eframe::egui::{self, Color32, CornerRadius, Label, Rect, RichText, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::base::units::{ByteSize, grouped};
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::heaps::sizes::{FIRST_SORT, SizeBar, SizeTable, size_bars};
use crate::present::table::TableModel;
use crate::process::heap::totals::BlockTotals;
use crate::process::regions::usage::Usage;

use super::Shown;

const BARS_HEIGHT: f32 = 62.0;

pub(super) struct SizesState {
    table: TableState,
    built: Option<(u64, Arc<SizeTable>, Vec<SizeBar>)>,
}

impl Default for SizesState {
    fn default() -> Self {
        Self { table: TableState::sorted(FIRST_SORT), built: None }
    }
}

/// Returns the size whose blocks the user wants to see.
pub(super) fn sizes_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut SizesState, shown: &Shown) -> Option<u64> {
    let totals_of = |dump: usize| shown.table.heap(shown.row?, dump)?.totals.as_ref();
    ui.strong("Blocks by size");
    let Some(now) = totals_of(shown.interval.to) else {
        ui.add(Label::new(RichText::new(why_none(shown)).weak()).wrap());
        return None;
    };
    let before = totals_of(shown.interval.from).filter(|_| shown.interval.from != shown.interval.to);
    let key = model_key(&(ctx.session.generation, shown.row, shown.from, shown.to));
    let known = state.built.take().filter(|(known, _, _)| *known == key);
    let built = known.unwrap_or_else(|| (key, Arc::new(SizeTable::new(now, before)), size_bars(now, before)));
    let (_, table, bars) = state.built.insert(built);
    bars_ui(ui, ctx, bars);
    ui.add(Label::new(RichText::new(totals_text(now)).weak().small()).truncate());
    let model: Arc<dyn TableModel> = Arc::<SizeTable>::clone(table);
    let options = TableOptions {
        id: "block sizes",
        model_key: key,
        bar: Bar::None,
        is_sortable: true,
        selected_row: None,
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.table, &options);
    let size_bytes = output.double_clicked.and_then(|row| table.size_bytes(row));
    ctx.send_texts(output, || format!("block-sizes-{}-{}.csv", shown.from, shown.to));
    size_bytes
}

fn why_none(shown: &Shown) -> &'static str {
    if shown.position(shown.interval.to).is_none() {
        "This heap is not in the second of the compared dumps."
    } else {
        "The blocks of this heap are not known: its layout is not, or its memory is not in the dump."
    }
}

fn totals_text(totals: &BlockTotals) -> String {
    let (in_use, free) = (totals.in_use(), totals.free());
    let mut text = format!(
        "{} blocks in use, {} asked for; {} free, {}",
        grouped(in_use.block_count),
        ByteSize(in_use.user_bytes),
        grouped(free.block_count),
        ByteSize(free.block_bytes)
    );
    if !totals.is_whole() {
        let lost = ByteSize(totals.lost_bytes.saturating_add(totals.unknown_container_bytes));
        text.push_str(&format!("; {lost} could not be read, {} are not in the dump", ByteSize(totals.missing_bytes)));
    }
    text
}

/// One bar for each power of two: bytes in use below, free ones above them.
fn bars_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, bars: &[SizeBar]) {
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, BARS_HEIGHT + 16.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Image, true, "Bytes by block size"));
    let plot = Rect::from_min_size(rect.min, vec2(width, BARS_HEIGHT));
    ui.painter().rect_filled(plot, CornerRadius::same(3), ctx.theme.plot_background);
    let bytes_of = |bar: &SizeBar| bar.now.in_use.block_bytes.saturating_add(bar.now.free.block_bytes);
    let most = bars.iter().map(bytes_of).max().unwrap_or(0).max(1) as f32;
    let step = width / bars.len().max(1) as f32;
    let label_every = (52.0 / step).ceil().max(1.0) as usize;
    for (number, bar) in bars.iter().enumerate() {
        let left = plot.left() + step * number as f32;
        let height = |bytes: u64| (BARS_HEIGHT - 4.0) * bytes as f32 / most;
        let mut bottom = plot.bottom();
        let mut paint = |bytes: u64, colour: Color32| {
            let top = bottom - height(bytes);
            let part = Rect::from_min_max(pos2(left + 1.5, top), pos2(left + step - 1.5, bottom));
            if bytes > 0 {
                ui.painter().rect_filled(part, CornerRadius::same(1), colour);
            }
            bottom = top;
        };
        paint(bar.now.in_use.block_bytes, ctx.theme.usage(Usage::Heap));
        paint(bar.now.free.block_bytes, ctx.theme.faint);
        if number % label_every == 0 {
            let text = short_size(bar.from_bytes);
            let at = pos2(left + step / 2.0, rect.bottom());
            ui.painter().text(
                at,
                egui::Align2::CENTER_BOTTOM,
                text,
                egui::TextStyle::Small.resolve(ui.style()),
                ctx.theme.dim,
            );
        }
    }
    let pointed = response.hover_pos().map(|pos| ((pos.x - plot.left()) / step).floor() as usize);
    if let Some(bar) = pointed.and_then(|number| bars.get(number)) {
        response.on_hover_text(bar_text(bar));
    }
}

fn short_size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes}"),
        1024..=1_048_575 => format!("{}K", bytes / 1024),
        _ => format!("{}M", bytes / 1_048_576),
    }
}

fn bar_text(bar: &SizeBar) -> String {
    let (now, until) = (&bar.now, ByteSize(bar.from_bytes.saturating_mul(2)));
    let mut text = format!(
        "{} up to {until}\nin use: {} blocks, {}\nfree: {} blocks, {}",
        ByteSize(bar.from_bytes),
        grouped(now.in_use.block_count),
        ByteSize(now.in_use.block_bytes),
        grouped(now.free.block_count),
        ByteSize(now.free.block_bytes)
    );
    if let Some(before) = &bar.before {
        text.push_str(&format!(
            "\nbefore: {} blocks in use, {}",
            grouped(before.in_use.block_count),
            ByteSize(before.in_use.block_bytes)
        ));
    }
    text
}
