//! A table of any length: sorted by a click on a head, filtered as one types, copied as rows. Only rows in sight are
//! painted, and long tables are arranged on a thread.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use eframe::egui::{
    self, Align as EguiAlign, Event, Key, Label, Layout, Modifiers, RichText, Sense, Stroke, TextEdit, Ui,
};
use egui_extras::{Column as EguiColumn, TableBuilder};

use crate::base::units::grouped;
use crate::gui::background::Background;
use crate::gui::theme::Theme;
use crate::present::table::{Align, Cell, Sort, TableModel, Tone, arrange, to_csv, to_tsv};
use crate::present::value::{ABSENT_TEXT, Value};

/// Shorter tables are arranged in the frame that asks; that is quicker than a thread and never a frame late.
const MOST_ROWS_AT_ONCE: usize = 1000;
const ROW_HEIGHT: f32 = 20.0;
const CHAR_WIDTH: f32 = 7.6;
const CELL_PADDING: f32 = 6.0;

/// What a table remembers between frames.
#[derive(Default)]
pub struct TableState {
    filter: String,
    sort: Option<Sort>,
    arranged: Background<ArrangeKey, Vec<usize>>,
    /// Rows chosen for copying, as numbers of the model.
    chosen: BTreeSet<usize>,
    /// Position in the arranged rows that keys move.
    cursor: Option<usize>,
    scroll_to: Option<usize>,
    /// Of which model the numbers above are.
    model_key: u64,
}

/// A number that differs when what a model was made from does.
pub fn model_key(made_from: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    made_from.hash(&mut hasher);
    hasher.finish()
}

impl TableState {
    /// Shows only rows with these words, as if they were typed.
    pub fn set_filter(&mut self, filter: &str) {
        if self.filter != filter {
            filter.clone_into(&mut self.filter);
        }
    }

    /// A table that begins sorted.
    pub fn sorted(sort: Sort) -> Self {
        Self { sort: Some(sort), ..Self::default() }
    }
}

#[derive(Clone, PartialEq)]
struct ArrangeKey {
    model: u64,
    filter: String,
    sort: Option<Sort>,
}

/// What stands above a table. A table with a bar is the one of its page, and takes the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bar {
    None,
    /// Count, copy and save.
    Rows,
    /// These and a filter.
    Filter,
}

/// What a table is called, and how it behaves.
pub struct TableOptions<'a> {
    pub id: &'a str,
    /// Changes when the model's rows do; see [`model_key`].
    pub model_key: u64,
    pub bar: Bar,
    /// Whether a click on a column's head sorts.
    pub is_sortable: bool,
    /// The row that the shared selection means.
    pub selected_row: Option<usize>,
    /// Scroll to the selected row now.
    pub reveal_selected: bool,
}

/// What the user did in this frame.
#[derive(Default)]
pub struct TableOutput {
    pub clicked: Option<usize>,
    pub double_clicked: Option<usize>,
    /// The row that stood under the cursor when Right or Left was pressed.
    pub opened: Option<usize>,
    pub closed: Option<usize>,
    /// Text for the clipboard.
    pub copied: Option<String>,
    /// CSV to save.
    pub csv: Option<String>,
}

/// Rows in the order shown. All rows in their own order take no memory.
enum Rows<'a> {
    All(usize),
    Some(&'a [usize]),
}

impl Rows<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::All(count) => *count,
            Self::Some(rows) => rows.len(),
        }
    }

    fn get(&self, position: usize) -> Option<usize> {
        match self {
            Self::All(count) => (position < *count).then_some(position),
            Self::Some(rows) => rows.get(position).copied(),
        }
    }

    fn to_vec(&self) -> Vec<usize> {
        match self {
            Self::All(count) => (0..*count).collect(),
            Self::Some(rows) => rows.to_vec(),
        }
    }

    fn position_of(&self, row: usize) -> Option<usize> {
        match self {
            Self::All(count) => (row < *count).then_some(row),
            Self::Some(rows) => rows.iter().position(|other| *other == row),
        }
    }
}

/// Shows a table and its bar.
pub fn table_ui(
    ui: &mut Ui,
    theme: &Theme,
    model: &Arc<dyn TableModel>,
    state: &mut TableState,
    options: &TableOptions<'_>,
) -> TableOutput {
    let mut output = TableOutput::default();
    if state.model_key != options.model_key {
        state.model_key = options.model_key;
        state.chosen.clear();
        state.cursor = None;
    }
    let TableState { filter, sort, arranged, chosen, cursor, scroll_to, .. } = state;
    let key_of = |filter: &str, sort| ArrangeKey { model: options.model_key, filter: filter.trim().to_owned(), sort };
    let rows = if options.bar != Bar::None {
        ui.horizontal(|ui| {
            if options.bar == Bar::Filter {
                filter_ui(ui, filter, options.id);
            }
            let rows = arranged_rows(ui.ctx(), model, arranged, &key_of(filter, *sort));
            bar_ui(ui, model, &rows, chosen, &mut output);
            rows
        })
        .inner
    } else {
        arranged_rows(ui.ctx(), model, arranged, &key_of(filter, *sort))
    };
    if options.reveal_selected {
        *scroll_to = options.selected_row.and_then(|row| rows.position_of(row));
        *cursor = *scroll_to;
    }
    // Of several short tables on one page, the keys are for the one under the pointer.
    let takes_keys = options.bar != Bar::None || ui.rect_contains_pointer(ui.available_rect_before_wrap());
    if takes_keys && !ui.ctx().text_edit_focused() {
        // Rows that came or went take the cursor away; what is selected brings it back.
        if cursor.is_none() && ui.input(|input| !input.keys_down.is_empty()) {
            *cursor = options.selected_row.and_then(|row| rows.position_of(row));
        }
        keys_ui(ui, &rows, chosen, cursor, scroll_to, &mut output);
        if copy_asked(ui) {
            output.copied = Some(to_tsv(model.as_ref(), &chosen_rows(&rows, chosen)));
        }
    }
    let table = TableArea { theme, model, rows: &rows, options };
    if let Some(position) = table.ui(ui, sort, chosen, *scroll_to, &mut output) {
        *cursor = Some(position);
    }
    *scroll_to = None;
    output
}

fn filter_ui(ui: &mut Ui, filter: &mut String, table_id: &str) {
    let id = ui.make_persistent_id((table_id, "filter"));
    let response = ui.add(TextEdit::singleline(filter).id(id).hint_text("Filter (Ctrl+F)").desired_width(260.0));
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Filter"));
    if ui.input_mut(|input| input.consume_key(Modifiers::CTRL, Key::F)) {
        response.request_focus();
    }
    if !filter.is_empty() && ui.small_button("Clear").clicked() {
        filter.clear();
    }
}

fn arranged_rows<'a>(
    ctx: &egui::Context,
    model: &Arc<dyn TableModel>,
    arranged: &'a mut Background<ArrangeKey, Vec<usize>>,
    key: &ArrangeKey,
) -> Rows<'a> {
    let count = model.row_count();
    if key.filter.is_empty() && key.sort.is_none() {
        return Rows::All(count);
    }
    if count <= MOST_ROWS_AT_ONCE {
        return Rows::Some(arranged.get_now(key, || arrange(model.as_ref(), &key.filter, key.sort)));
    }
    let (model, filter, sort) = (Arc::clone(model), key.filter.clone(), key.sort);
    match arranged.get(ctx, key, move |_| Ok(arrange(model.as_ref(), &filter, sort))) {
        // Rows of an older model may be more than there are now; cells outside are absent.
        Some(rows) => Rows::Some(rows),
        None => Rows::All(count),
    }
}

fn bar_ui(
    ui: &mut Ui,
    model: &Arc<dyn TableModel>,
    rows: &Rows<'_>,
    chosen: &BTreeSet<usize>,
    output: &mut TableOutput,
) {
    let count = match rows {
        Rows::All(1) => "1 row".to_owned(),
        Rows::All(count) => format!("{} rows", grouped(*count as u64)),
        Rows::Some(shown) => format!("{} of {} rows", grouped(shown.len() as u64), grouped(model.row_count() as u64)),
    };
    ui.label(RichText::new(count).weak());
    if ui.small_button("Copy rows").on_hover_text("The chosen rows, else all shown (Ctrl+C)").clicked() {
        output.copied = Some(to_tsv(model.as_ref(), &chosen_rows(rows, chosen)));
    }
    if ui.small_button("Save CSV…").on_hover_text("All shown rows, with plain numbers").clicked() {
        output.csv = Some(to_csv(model.as_ref(), &rows.to_vec()));
    }
}

fn copy_asked(ui: &Ui) -> bool {
    ui.input(|input| input.events.iter().any(|event| matches!(event, Event::Copy)))
}

fn chosen_rows(rows: &Rows<'_>, chosen: &BTreeSet<usize>) -> Vec<usize> {
    let shown = rows.to_vec();
    let chosen: Vec<usize> = shown.iter().copied().filter(|row| chosen.contains(row)).collect();
    // Rows that a filter hides are not meant.
    if chosen.is_empty() { shown } else { chosen }
}

fn keys_ui(
    ui: &mut Ui,
    rows: &Rows<'_>,
    chosen: &mut BTreeSet<usize>,
    cursor: &mut Option<usize>,
    scroll_to: &mut Option<usize>,
    output: &mut TableOutput,
) {
    let Some(last) = rows.len().checked_sub(1) else { return };
    let page = (ui.available_height() / ROW_HEIGHT).max(2.0) as usize - 1;
    if ui.input_mut(|input| input.consume_key(Modifiers::CTRL, Key::A)) {
        *chosen = rows.to_vec().into_iter().collect();
    }
    let start = cursor.unwrap_or(0);
    let moves = [
        (Key::ArrowDown, cursor.map_or(0, |at| at + 1)),
        (Key::ArrowUp, start.saturating_sub(1)),
        (Key::PageDown, start + page),
        (Key::PageUp, start.saturating_sub(page)),
        (Key::Home, 0),
        (Key::End, last),
    ];
    for (key, target) in moves {
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
            let target = target.min(last);
            (*cursor, *scroll_to) = (Some(target), Some(target));
            output.clicked = rows.get(target);
            chosen.clear();
            chosen.extend(output.clicked);
        }
    }
    if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter)) {
        output.double_clicked = cursor.and_then(|at| rows.get(at));
    }
    for (key, row) in [(Key::ArrowRight, &mut output.opened), (Key::ArrowLeft, &mut output.closed)] {
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
            *row = cursor.and_then(|at| rows.get(at));
        }
    }
}

struct TableArea<'a> {
    theme: &'a Theme,
    model: &'a Arc<dyn TableModel>,
    rows: &'a Rows<'a>,
    options: &'a TableOptions<'a>,
}

impl TableArea<'_> {
    /// Paints head and rows; gives the position of a row that was clicked.
    fn ui(
        &self,
        ui: &mut Ui,
        sort: &mut Option<Sort>,
        chosen: &mut BTreeSet<usize>,
        scroll_to: Option<usize>,
        output: &mut TableOutput,
    ) -> Option<usize> {
        let mut clicked = None;
        let options = self.options;
        egui::ScrollArea::horizontal().id_salt((options.id, "across")).auto_shrink([false, true]).show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let mut builder = TableBuilder::new(ui)
                .id_salt(options.id)
                .striped(true)
                .sense(Sense::click())
                .auto_shrink([false, options.bar == Bar::None])
                .cell_layout(Layout::left_to_right(EguiAlign::Center));
            for column in self.model.columns() {
                let width = f32::from(column.width_chars) * CHAR_WIDTH + CELL_PADDING;
                builder = builder.column(EguiColumn::initial(width).at_least(32.0).clip(true).resizable(true));
            }
            if options.bar != Bar::None {
                // The one table of its page takes what is left, however little.
                builder = builder.min_scrolled_height(0.0);
            }
            if let Some(position) = scroll_to {
                // What another view selected comes to the middle; keys move by as little as they can.
                let align = self.options.reveal_selected.then_some(EguiAlign::Center);
                builder = builder.scroll_to_row(position, align);
            }
            let table = builder.header(ROW_HEIGHT + 4.0, |mut head| {
                for (index, column) in self.model.columns().iter().enumerate() {
                    head.col(|ui| head_ui(ui, index, &self.model.title(index), column, sort, options.is_sortable));
                }
            });
            table.body(|body| {
                body.rows(ROW_HEIGHT, self.rows.len(), |mut row| {
                    let Some(model_row) = self.rows.get(row.index()) else { return };
                    row.set_selected(chosen.contains(&model_row) || options.selected_row == Some(model_row));
                    for column in 0..self.model.columns().len() {
                        let (_, cell) = row.col(|ui| self.cell_ui(ui, model_row, column));
                        cell.context_menu(|ui| self.menu_ui(ui, model_row, column, output));
                    }
                    let response = row.response();
                    if response.clicked() {
                        clicked = Some(row.index());
                        choose(chosen, model_row, response.ctx.input(|input| input.modifiers));
                        output.clicked = Some(model_row);
                    }
                    if response.double_clicked() {
                        output.double_clicked = Some(model_row);
                    }
                });
            });
        });
        clicked
    }

    /// What can be copied of a cell: itself, its row, and the command by which WinDbg shows it.
    fn menu_ui(&self, ui: &mut Ui, row: usize, column: usize, output: &mut TableOutput) {
        let value = self.model.cell(row, column).value;
        if ui.button("Copy the value").clicked() {
            output.copied = Some(value.display());
            ui.close();
        }
        if ui.button("Copy the row").clicked() {
            output.copied = Some(to_tsv(self.model.as_ref(), &[row]));
            ui.close();
        }
        if let Some(command) = self.model.windbg(row, column) {
            ui.separator();
            if ui.button(format!("Copy as WinDbg: {command}")).clicked() {
                output.copied = Some(command);
                ui.close();
            }
        }
    }

    fn cell_ui(&self, ui: &mut Ui, row: usize, column: usize) {
        let Cell { value, tone } = self.model.cell(row, column);
        if let Value::Trend(points) = &value {
            sparkline_ui(ui, self.theme, points);
            return;
        }
        if let Tone::Heat(heat) = tone {
            let area = ui.available_rect_before_wrap().shrink2(egui::vec2(0.0, 1.0));
            ui.painter().rect_filled(area, 2.0, self.theme.heat(heat));
        }
        let text = RichText::new(value.display()).color(self.theme.tone(tone));
        let is_right = self.model.columns().get(column).is_some_and(|column| column.align == Align::Right);
        let text = if value.is_number() { text.monospace() } else { text };
        let label = Label::new(text).selectable(false).truncate();
        if is_right {
            ui.with_layout(Layout::right_to_left(EguiAlign::Center), |ui| ui.add(label));
            return;
        }
        if let Tone::Use(usage) = tone {
            let (rect, _) = ui.allocate_exact_size(egui::vec2(10.0, 10.0), Sense::hover());
            ui.painter().rect_filled(rect, 2.0, self.theme.usage(usage));
            ui.add_space(2.0);
        }
        ui.add(label);
    }
}

/// A line through the points, from 0 up; what is not known is a gap.
fn sparkline_ui(ui: &mut Ui, theme: &Theme, points: &[Option<u64>]) {
    let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::hover());
    let area = rect.shrink2(egui::vec2(2.0, 4.0));
    let most = points.iter().flatten().copied().max().unwrap_or(0).max(1) as f32;
    let steps = points.len().saturating_sub(1).max(1) as f32;
    let place = |index: usize, value: u64| {
        egui::pos2(
            area.left() + area.width() * index as f32 / steps,
            area.bottom() - area.height() * value as f32 / most,
        )
    };
    let stroke = Stroke::new(1.5, theme.accent);
    for (index, pair) in points.windows(2).enumerate() {
        if let [Some(before), Some(after)] = pair {
            ui.painter().line_segment([place(index, *before), place(index + 1, *after)], stroke);
        }
    }
    if let Some((index, value)) = points.iter().enumerate().filter_map(|(index, p)| Some((index, (*p)?))).next_back() {
        ui.painter().circle_filled(place(index, value), 2.0, theme.accent);
    }
    let texts: Vec<String> = points.iter().map(|point| point.map_or_else(|| ABSENT_TEXT.to_owned(), grouped)).collect();
    response.on_hover_text(texts.join("  "));
}

/// A click chooses one row, with Ctrl one more or less, with Shift all up to it.
fn choose(chosen: &mut BTreeSet<usize>, row: usize, modifiers: Modifiers) {
    if modifiers.command {
        if !chosen.remove(&row) {
            chosen.insert(row);
        }
        return;
    }
    let anchor = chosen.first().copied().filter(|_| modifiers.shift);
    chosen.clear();
    match anchor {
        Some(anchor) => chosen.extend(anchor.min(row)..=anchor.max(row)),
        None => {
            chosen.insert(row);
        }
    }
}

/// A column's head: a click sorts ascending, then descending, then not at all.
fn head_ui(
    ui: &mut Ui,
    index: usize,
    title: &str,
    column: &crate::present::table::Column,
    sort: &mut Option<Sort>,
    is_sortable: bool,
) {
    let mark = match sort {
        Some(Sort { column, descending: false }) if *column == index => " ↑",
        Some(Sort { column, descending: true }) if *column == index => " ↓",
        _ => "",
    };
    let text = RichText::new(format!("{title}{mark}")).strong();
    let layout = match column.align {
        Align::Left => Layout::left_to_right(EguiAlign::Center),
        Align::Right => Layout::right_to_left(EguiAlign::Center),
    };
    let response = ui
        .with_layout(layout, |ui| ui.add(Label::new(text).selectable(false).truncate().sense(Sense::click())))
        .inner
        .on_hover_text(column.hint);
    if response.clicked() && is_sortable {
        *sort = match *sort {
            Some(Sort { column, descending: false }) if column == index => Some(Sort { column, descending: true }),
            Some(Sort { column, descending: true }) if column == index => None,
            _ => Some(Sort { column: index, descending: false }),
        };
    }
}
