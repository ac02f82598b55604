//! The address space as a strip of rectangles: hover names one, a click chooses it, wheel and drag zoom.

use eframe::egui::{self, Color32, CornerRadius, Rect, Sense, Stroke, StrokeKind, Ui, pos2};

use crate::base::addr::VaRange;
use crate::gui::theme::Theme;
use crate::present::strip::{Stripe, StripeKind};

/// What the user did.
#[derive(Default)]
pub struct StripOutput {
    pub clicked: Option<Stripe>,
    pub hovered: Option<Stripe>,
    /// Show this part; `Some(None)` is the whole.
    pub zoom: Option<Option<VaRange>>,
}

/// Where a drag over the strip began, as a share of its width.
#[derive(Clone, Copy, Default)]
pub struct StripState {
    drag_start: Option<f32>,
}

const HEIGHT: f32 = 36.0;

pub fn strip_ui(
    ui: &mut Ui,
    theme: &Theme,
    stripes: &[Stripe],
    selected: Option<VaRange>,
    state: &mut StripState,
) -> StripOutput {
    let mut output = StripOutput::default();
    let size = egui::vec2(ui.available_width(), HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Figure, true, "Address space"));
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 4.0, theme.plot_background);
    let x = |share: f32| rect.left() + share * rect.width();
    for stripe in stripes {
        let area =
            Rect::from_min_max(pos2(x(stripe.left), rect.top() + 2.0), pos2(x(stripe.right), rect.bottom() - 2.0));
        match stripe.kind {
            StripeKind::Committed(usage) => {
                painter.rect_filled(area, CornerRadius::ZERO, theme.usage(usage));
            }
            StripeKind::Reserved(usage) => {
                let colour: Color32 = theme.usage(usage).gamma_multiply(0.28);
                painter.rect_filled(area, CornerRadius::ZERO, colour);
            }
            StripeKind::Gap => {}
        }
        let touches = |selected: VaRange| stripe.range.intersection(selected).is_some();
        if selected.is_some_and(touches) {
            let marked = area.expand2(egui::vec2(1.0, 0.0));
            painter.rect_stroke(marked, CornerRadius::ZERO, Stroke::new(1.5, theme.cursor), StrokeKind::Inside);
        }
    }
    let share_of = |pos: egui::Pos2| ((pos.x - rect.left()) / rect.width()).clamp(0.0, 1.0);
    let stripe_at = |share: f32| stripes.iter().find(|stripe| stripe.left <= share && share < stripe.right).copied();
    let pointer = response.hover_pos().map(share_of);
    output.hovered = pointer.and_then(stripe_at);
    if response.double_clicked() {
        output.zoom = Some(None);
    } else if response.clicked() {
        output.clicked = output.hovered;
    }
    if response.drag_started() {
        state.drag_start = response.interact_pointer_pos().map(share_of);
    }
    if let (Some(start), Some(now)) = (state.drag_start, response.interact_pointer_pos().map(share_of)) {
        let area = Rect::from_min_max(pos2(x(start.min(now)), rect.top()), pos2(x(start.max(now)), rect.bottom()));
        painter.rect_filled(area, 0.0, theme.interval);
        painter.rect_stroke(area, 0.0, Stroke::new(1.0, theme.accent), StrokeKind::Inside);
        if response.drag_stopped() {
            state.drag_start = None;
            output.zoom = range_between(stripes, start.min(now), start.max(now)).map(Some);
        }
    }
    let wheel = if response.hovered() { ui.input(|input| input.smooth_scroll_delta().y) } else { 0.0 };
    if let Some(at) = pointer.filter(|_| wheel > 0.5) {
        output.zoom = range_between(stripes, at - at * 0.8, at + (1.0 - at) * 0.8).map(Some);
    } else if wheel < -0.5 {
        output.zoom = Some(None);
    }
    output
}

/// The addresses between two places; `None` when that is too little to zoom into.
fn range_between(stripes: &[Stripe], left: f32, right: f32) -> Option<VaRange> {
    const LEAST_SHARE: f32 = 0.004;
    if right - left < LEAST_SHARE {
        return None;
    }
    let first = stripes.iter().find(|stripe| stripe.right > left)?;
    let last = stripes.iter().rev().find(|stripe| stripe.left < right)?;
    VaRange::new(first.range.start, last.range.end).filter(|range| !range.is_empty())
}
