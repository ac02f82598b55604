//! The stacks as a flame graph: width is the amount in the second dump, colour the growth since the first.

use std::sync::Arc;

use eframe::egui::{self, Label, RichText, TextEdit, Ui, WidgetInfo};

use crate::analysis::series::call_tree::{CallTree, Measure, Node};
use crate::base::units::{ByteDelta, ByteSize, grouped};
use crate::gui::ctx::ViewCtx;
use crate::gui::widgets::flame::flame_ui;
use crate::present::traces::tree::{FlameRect, flame_rects};

use super::super::background::Background;
use super::{CallPanels, ShownStacks, TreeKey};

#[derive(Default)]
pub struct FlameState {
    rects: Background<(TreeKey, Vec<u64>, u32), Arc<Vec<FlameRect>>>,
    /// Path hashes from the root to the node that fills the width.
    zoom: Vec<u64>,
    search: String,
    /// The line about what the pointer was over in the last frame.
    hovered: Option<String>,
}

pub fn flame_view_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, panels: &mut CallPanels, shown: &ShownStacks) {
    let Some((key, tree)) = panels.tree_of(ui, shown) else {
        ui.weak("Joining the stacks…");
        return;
    };
    let state = &mut panels.flame;
    let is_zoomed = !state.zoom.is_empty();
    ui.horizontal(|ui| {
        let search = TextEdit::singleline(&mut state.search).hint_text("Highlight…").desired_width(160.0);
        ui.add(search).widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "Highlight"));
        if ui.add_enabled(is_zoomed, egui::Button::new("Whole graph").small()).clicked() {
            state.zoom.clear();
        }
        legend_ui(ui, ctx, shown);
    });
    // One point is the narrowest that can be seen.
    let least_share = 1.0 / f64::from(ui.available_width().max(100.0));
    let width_key = ui.available_width() as u32 / 64;
    let rects_key = (key, state.zoom.clone(), width_key);
    let (tree_for_rects, symbols) = (Arc::clone(&tree), Arc::clone(&shown.naming.symbols));
    let zoom = state.zoom.clone();
    let made = state.rects.get(ui.ctx(), &rects_key, move |_| {
        let base = zoomed_path(&tree_for_rects, &zoom);
        Ok(Arc::new(flame_rects(&tree_for_rects, &symbols, &base, least_share)))
    });
    let Some(rects) = made.map(Arc::clone) else {
        ui.weak("Drawing…");
        return;
    };
    if tree.weight(&tree.root()).to == 0 {
        ui.weak(format!("Nothing to draw: these stacks have no {} in dump {}.", shown.amount_name, shown.to));
        return;
    }
    let (measure, amount_name) = (shown.spec.measure, shown.amount_name);
    let total = tree.weight(&tree.root()).to;
    let name = |rect: &FlameRect| rect_line(rect, measure, amount_name, total);
    let search = state.search.trim().to_lowercase();
    egui::Panel::bottom("flame hover").frame(egui::Frame::new().inner_margin(egui::Margin::symmetric(0, 4))).show(
        ui,
        |ui| {
            let hint = "Point at a function for its numbers; click to zoom into it.";
            let text = state.hovered.as_deref().unwrap_or(hint);
            ui.add(Label::new(RichText::new(text).monospace()).truncate());
        },
    );
    let output = flame_ui(ui, ctx.theme, &rects, &search, name);
    state.hovered = output.hovered.and_then(|index| rects.get(index)).map(name);
    if let Some(rect) = output.clicked.and_then(|index| rects.get(index)) {
        state.zoom = path_to(&rects, rect);
    }
}

/// Which colour means what.
fn legend_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, shown: &ShownStacks) {
    ui.separator();
    for (growth, text) in [(-1.0, "gone"), (0.0, "as it was"), (0.5, "doubled"), (1.0, "new")] {
        let (rect, _) = ui.allocate_exact_size(egui::vec2(12.0, 12.0), egui::Sense::hover());
        ui.painter().rect_filled(rect, 2.0, ctx.theme.flame(growth).0);
        ui.label(RichText::new(text).small());
    }
    ui.label(RichText::new(format!("from dump {} to {}", shown.from, shown.to)).small().weak());
}

fn rect_line(rect: &FlameRect, measure: Measure, amount_name: &str, total: u64) -> String {
    let (from, to) = (rect.weight.from, rect.weight.to);
    let (amount, delta) = match measure {
        Measure::StoreBytes | Measure::OutstandingBytes => {
            (ByteSize(to).to_string(), ByteDelta::between(from, to).to_string())
        }
        Measure::Entries | Measure::Uses | Measure::OutstandingBlocks => {
            let sign = if to >= from { '+' } else { '-' };
            (grouped(to), format!("{sign}{}", grouped(to.abs_diff(from))))
        }
    };
    let share = to as f64 * 100.0 / total.max(1) as f64;
    format!("{}  {amount} {amount_name} ({share:.1} %), {delta}", rect.text)
}

/// The nodes from the root to the one that the path names, as far as they are in this tree.
fn zoomed_path(tree: &CallTree, zoom: &[u64]) -> Vec<Node> {
    let mut path = vec![tree.root()];
    for hash in zoom {
        let Some(node) = path.last() else { break };
        match tree.children(node).into_iter().find(|child| child.path_hash == *hash) {
            Some(child) => path.push(child),
            None => break,
        }
    }
    path
}

/// Path hashes of the nodes above a rectangle, and its own: the rectangles of lower levels that span it.
fn path_to(rects: &[FlameRect], target: &FlameRect) -> Vec<u64> {
    let middle = (target.left + target.right) / 2.0;
    let mut path: Vec<&FlameRect> = rects
        .iter()
        .filter(|rect| rect.level > 0 && rect.level <= target.level && rect.left <= middle && middle < rect.right)
        .collect();
    path.sort_by_key(|rect| rect.level);
    path.iter().map(|rect| rect.node.path_hash).collect()
}
