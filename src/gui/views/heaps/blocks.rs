//! The blocks of the selected heap: a list narrowed down by state and size, and the selected block.

use std::sync::Arc;

use eframe::egui::{Frame, Margin, Panel, RichText, Ui};

use crate::base::addr::Va;
use crate::base::units::grouped;
use crate::gui::background::Background;
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::table::{Bar, TableOptions, TableState, model_key, table_ui};
use crate::present::heaps::blocks::{BlockFilter, BlockGroup, BlockTable, MOST_BLOCKS};
use crate::present::table::TableModel;
use crate::present::words::MEMORY_NOT_IN_CAPSULE;

use super::{Shown, detail};

type ListKey = (u64, usize, usize, BlockFilter);

#[derive(Default)]
pub(super) struct BlocksState {
    filter: BlockFilter,
    list: Background<ListKey, Arc<BlockTable>>,
    table: TableState,
    selected: Option<Va>,
}

impl BlocksState {
    /// Lists the blocks of one size.
    pub fn show_size(&mut self, size_bytes: u64) {
        self.filter = BlockFilter { size_bytes: Some(size_bytes), ..self.filter };
    }
}

pub(super) fn blocks_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut BlocksState, shown: &Shown) {
    let Some(position) = shown.position(shown.interval.to) else {
        ui.weak(format!("This heap is not in dump {}.", shown.to));
        return;
    };
    if shown.snapshot.dump.memory.is_left_out() {
        ui.weak(MEMORY_NOT_IN_CAPSULE);
        return;
    }
    let key = (ctx.session.generation, shown.interval.to, position, state.filter);
    let (snapshot, filter) = (Arc::clone(&shown.snapshot), state.filter);
    let list = state.list.get_current(ui.ctx(), &key, move |progress| {
        BlockTable::list(&snapshot, position, filter, progress).map(Arc::new)
    });
    let list = list.map(Arc::clone);
    filter_ui(ui, &mut state.filter, list.as_deref());
    let Some(list) = list else {
        ui.weak("Reading the blocks…");
        return;
    };
    let selected_row = state.selected.and_then(|entry| list.row_of(entry));
    let width = (ui.available_width() * 0.46).clamp(260.0, 760.0);
    Panel::right("block")
        .resizable(true)
        .default_size(width)
        .min_size(200.0)
        .frame(Frame::new().inner_margin(Margin { left: 8, right: 0, top: 0, bottom: 0 }))
        .show(ui, |ui| {
            let block = selected_row.or(Some(0)).and_then(|row| list.block(row));
            detail::detail_ui(ui, ctx, shown, list.width(), block);
        });
    let model: Arc<dyn TableModel> = Arc::<BlockTable>::clone(&list);
    let options = TableOptions {
        id: "blocks",
        model_key: model_key(&key),
        bar: Bar::Filter,
        is_sortable: true,
        selected_row: selected_row.or((list.row_count() > 0).then_some(0)),
        reveal_selected: false,
    };
    let output = table_ui(ui, ctx.theme, &model, &mut state.table, &options);
    if let Some(block) = output.clicked.and_then(|row| list.block(row)) {
        state.selected = Some(block.entry);
    }
    ctx.send_texts(output, || format!("blocks-dump-{}.csv", shown.to));
}

fn filter_ui(ui: &mut Ui, filter: &mut BlockFilter, list: Option<&BlockTable>) {
    ui.horizontal(|ui| {
        for (group, name) in BlockGroup::ALL {
            ui.selectable_value(&mut filter.group, group, name);
        }
        if let Some(size_bytes) = filter.size_bytes {
            ui.separator();
            ui.label(RichText::new(format!("size {size_bytes:x}")).monospace());
            if ui.small_button("All sizes").clicked() {
                filter.size_bytes = None;
            }
        }
        if let Some(left_out) = list.map(|list| list.left_out_count).filter(|count| *count > 0) {
            let text = format!(
                "the first {} by address; {} more are not listed: choose a size in the Heaps view",
                grouped(MOST_BLOCKS as u64),
                grouped(left_out)
            );
            ui.weak(text);
        }
    });
}
