//! A flame graph: rectangles by level, the root on top. Hover names one, a click chooses it.

use eframe::egui::{
    self, Align2, CornerRadius, FontId, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, TextStyle, Ui, WidgetInfo,
    pos2, vec2,
};

use crate::gui::theme::Theme;
use crate::present::traces::tree::{FlameRect, growth_share};

const ROW_HEIGHT: f32 = 20.0;
const GAP: f32 = 1.0;
/// Narrower rectangles have no text, and no name of their own for screen readers: the table beside has them all.
const LEAST_TEXT_WIDTH: f32 = 36.0;

/// What the user did: positions in the list of rectangles.
#[derive(Default)]
pub struct FlameOutput {
    pub hovered: Option<usize>,
    pub clicked: Option<usize>,
}

/// Shows rectangles. `name` is what a screen reader says of one; `search`, in lower case, marks those that it is found in.
pub fn flame_ui(
    ui: &mut Ui,
    theme: &Theme,
    rects: &[FlameRect],
    search: &str,
    name: impl Fn(&FlameRect) -> String,
) -> FlameOutput {
    let mut output = FlameOutput::default();
    let level_count = rects.iter().map(|rect| rect.level).max().map_or(0, |level| level + 1);
    ScrollArea::vertical().id_salt("flame").auto_shrink(false).show(ui, |ui| {
        let size = vec2(ui.available_width(), f32::from(level_count) * ROW_HEIGHT);
        let (area, response) = ui.allocate_exact_size(size, Sense::click());
        let painter = ui.painter_at(area.intersect(ui.clip_rect()));
        let font = FontId::new(TextStyle::Small.resolve(ui.style()).size, egui::FontFamily::Monospace);
        let char_width = ui.fonts_mut(|fonts| fonts.glyph_width(&font, 'm')).max(1.0);
        let pointer = response.hover_pos();
        for (index, rect) in rects.iter().enumerate() {
            let place = place_of(area, rect);
            if !ui.is_rect_visible(place) {
                continue;
            }
            let (fill, text_colour) = theme.flame(growth_share(rect.weight).unwrap_or(0.0));
            let is_found = !search.is_empty() && rect.text.to_lowercase().contains(search);
            let fill = if search.is_empty() || is_found { fill } else { fill.gamma_multiply(0.35) };
            painter.rect_filled(place, CornerRadius::same(2), fill);
            if is_found {
                painter.rect_stroke(place, CornerRadius::same(2), Stroke::new(1.5, theme.accent), StrokeKind::Inside);
            }
            if place.width() >= LEAST_TEXT_WIDTH {
                let room = ((place.width() - 8.0) / char_width).max(0.0) as usize;
                let at = pos2(place.left() + 4.0, place.center().y);
                painter.text(at, Align2::LEFT_CENTER, shortened(&rect.text, room), font.clone(), text_colour);
                let id = response.id.with(rect.node.path_hash);
                let node = ui.interact(place, id, Sense::click());
                node.widget_info(|| WidgetInfo::labeled(Role::Button, true, name(rect)));
                if node.clicked() {
                    output.clicked = Some(index);
                }
            }
            if pointer.is_some_and(|pointer| place.contains(pointer)) || hovers(ui, place) {
                output.hovered = Some(index);
                painter.rect_stroke(place, CornerRadius::same(2), Stroke::new(1.0, theme.cursor), StrokeKind::Inside);
            }
        }
        if response.clicked() {
            output.clicked = output.hovered;
        }
    });
    output
}

fn hovers(ui: &Ui, place: Rect) -> bool {
    ui.rect_contains_pointer(place)
}

fn place_of(area: Rect, rect: &FlameRect) -> Rect {
    let x = |share: f32| area.left() + share * area.width();
    let top = area.top() + f32::from(rect.level) * ROW_HEIGHT;
    let right = (x(rect.right) - GAP).max(x(rect.left) + 0.5);
    Rect::from_min_max(pos2(x(rect.left), top), pos2(right, top + ROW_HEIGHT - GAP))
}

/// The end of a name says more than its start: the module is what is cut off first.
fn shortened(text: &str, room: usize) -> String {
    let count = text.chars().count();
    if count <= room {
        return text.to_owned();
    }
    let function = text.split_once('!').map_or(text, |(_, function)| function);
    if function.chars().count() <= room {
        return function.to_owned();
    }
    let kept: String = function.chars().take(room.saturating_sub(1)).collect();
    if kept.is_empty() { String::new() } else { format!("{kept}…") }
}
