//! Colours, faces and spacing. The only place where a colour is a number.
#![expect(clippy::disallowed_methods, reason = "this is the one place for colours as numbers")]

use eframe::egui::style::ScrollStyle;
use eframe::egui::{
    Color32, Context, CornerRadius, FontDefinitions, FontFamily, FontId, Margin, Stroke, TextStyle, Theme as EguiTheme,
    ThemePreference, Vec2, Visuals,
};

use crate::present::table::Tone;
use crate::process::regions::usage::Usage;

use super::settings::ThemeChoice;

/// The colours of one frame, light or dark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Theme {
    pub is_dark: bool,
    pub text: Color32,
    pub dim: Color32,
    pub faint: Color32,
    pub growth: Color32,
    pub shrink: Color32,
    pub warning: Color32,
    pub accent: Color32,
    pub plot_background: Color32,
    pub interval: Color32,
    pub cursor: Color32,
    pub banner: Color32,
}

impl Theme {
    pub const fn of(is_dark: bool) -> Self {
        if is_dark { DARK } else { LIGHT }
    }

    /// The colour of a use: the same in every plot and table. Colour-blind safe (after Okabe and Ito), a little lighter on
    /// dark and a little darker on light.
    pub fn usage(&self, usage: Usage) -> Color32 {
        let base = match usage {
            Usage::StackTraceDatabase => Color32::from_rgb(0xd5, 0x5e, 0x00),
            Usage::Heap => Color32::from_rgb(0xe6, 0x9f, 0x00),
            Usage::PageHeap => Color32::from_rgb(0xf0, 0xe4, 0x42),
            Usage::Image => Color32::from_rgb(0x00, 0x72, 0xb2),
            Usage::MappedFile => Color32::from_rgb(0x56, 0xb4, 0xe9),
            Usage::Stack => Color32::from_rgb(0x00, 0x9e, 0x73),
            Usage::Teb | Usage::Peb => Color32::from_rgb(0x66, 0xa1, 0x82),
            Usage::Other => Color32::from_rgb(0xcc, 0x79, 0xa7),
            Usage::Unknown => Color32::from_rgb(0x99, 0x99, 0x99),
            Usage::Free => return Color32::TRANSPARENT,
        };
        if self.is_dark { mix(base, Color32::WHITE, 0.12) } else { mix(base, Color32::BLACK, 0.08) }
    }

    /// A rectangle of a flame graph, and the text on it: the more it grew, the warmer. -1 all gone, 1 all new.
    pub fn flame(&self, growth: f32) -> (Color32, Color32) {
        let neutral = mix(self.banner, self.text, 0.08);
        let share = growth.clamp(-1.0, 1.0);
        let goal = if share < 0.0 { self.shrink } else { self.growth };
        let fill = mix(neutral, goal, share.abs() * 0.72);
        let [r, g, b, _] = fill.to_array().map(f32::from);
        // Perceived brightness: the text takes the side that is farther away.
        let brightness = 0.3 * r + 0.59 * g + 0.11 * b;
        (
            fill,
            if brightness > 128.0 { Color32::from_rgb(0x10, 0x14, 0x1a) } else { Color32::from_rgb(0xf4, 0xf6, 0xf9) },
        )
    }

    /// Behind a number: the more, the warmer; nothing for 0. Light enough for text on it.
    pub fn heat(&self, heat: u8) -> Color32 {
        self.growth.gamma_multiply(f32::from(heat) / 255.0 * 0.55)
    }

    pub fn tone(&self, tone: Tone) -> Color32 {
        match tone {
            Tone::Normal | Tone::Heat(_) | Tone::Use(_) => self.text,
            Tone::Dim => self.dim,
            Tone::Growth => self.growth,
            Tone::Shrink => self.shrink,
            Tone::Warning => self.warning,
        }
    }
}

const DARK: Theme = Theme {
    is_dark: true,
    text: Color32::from_rgb(0xdc, 0xe1, 0xe8),
    dim: Color32::from_rgb(0x93, 0x9c, 0xa9),
    faint: Color32::from_rgb(0x3a, 0x42, 0x4e),
    growth: Color32::from_rgb(0xff, 0x9d, 0x5c),
    shrink: Color32::from_rgb(0x63, 0xc7, 0xa8),
    warning: Color32::from_rgb(0xff, 0x8a, 0x80),
    accent: Color32::from_rgb(0x56, 0xb4, 0xe9),
    plot_background: Color32::from_rgb(0x15, 0x19, 0x20),
    interval: Color32::from_rgba_premultiplied(0x18, 0x22, 0x2c, 0x30),
    cursor: Color32::from_rgb(0xdc, 0xe1, 0xe8),
    banner: Color32::from_rgb(0x26, 0x2d, 0x38),
};

const LIGHT: Theme = Theme {
    is_dark: false,
    text: Color32::from_rgb(0x1c, 0x23, 0x2d),
    dim: Color32::from_rgb(0x5c, 0x67, 0x75),
    faint: Color32::from_rgb(0xd5, 0xda, 0xe1),
    growth: Color32::from_rgb(0xa8, 0x45, 0x00),
    shrink: Color32::from_rgb(0x00, 0x6b, 0x4e),
    warning: Color32::from_rgb(0xb0, 0x1e, 0x1e),
    accent: Color32::from_rgb(0x00, 0x5f, 0x99),
    plot_background: Color32::WHITE,
    interval: Color32::from_rgba_premultiplied(0x00, 0x0d, 0x14, 0x16),
    cursor: Color32::from_rgb(0x1c, 0x23, 0x2d),
    banner: Color32::from_rgb(0xe6, 0xeb, 0xf2),
};

fn mix(base: Color32, other: Color32, share: f32) -> Color32 {
    base.lerp_to_gamma(other, share)
}

/// The toolkit's faces; the proportional one lacks arrows, which the fixed-width one has. Characters that neither has come
/// from the system's fonts.
fn faces() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let fixed = fonts.families.get(&FontFamily::Monospace).cloned().unwrap_or_default();
    let proportional = fonts.families.entry(FontFamily::Proportional).or_default();
    proportional.extend(fixed);
    fonts
}

/// Sets faces, sizes and spacing, and the choice of light or dark.
pub fn install(ctx: &Context, choice: ThemeChoice) {
    ctx.set_fonts(faces());
    for theme in [EguiTheme::Dark, EguiTheme::Light] {
        ctx.style_mut_of(theme, |style| {
            let face = |size, family| FontId::new(size, family);
            style.text_styles = [
                (TextStyle::Heading, face(17.0, FontFamily::Proportional)),
                (TextStyle::Body, face(13.5, FontFamily::Proportional)),
                (TextStyle::Button, face(13.5, FontFamily::Proportional)),
                (TextStyle::Small, face(12.0, FontFamily::Proportional)),
                (TextStyle::Monospace, face(12.5, FontFamily::Monospace)),
            ]
            .into();
            style.spacing.item_spacing = Vec2::new(8.0, 4.0);
            style.spacing.button_padding = Vec2::new(8.0, 3.0);
            style.spacing.window_margin = Margin::same(12);
            style.spacing.menu_margin = Margin::same(8);
            // Always in sight: a hidden bar hides that there is more.
            style.spacing.scroll = ScrollStyle::thin();
            style.visuals = visuals(Theme::of(theme == EguiTheme::Dark));
        });
    }
    ctx.set_theme(match choice {
        ThemeChoice::System => ThemePreference::System,
        ThemeChoice::Light => ThemePreference::Light,
        ThemeChoice::Dark => ThemePreference::Dark,
    });
}

fn visuals(theme: Theme) -> Visuals {
    let mut visuals = if theme.is_dark { Visuals::dark() } else { Visuals::light() };
    let panel = if theme.is_dark { Color32::from_rgb(0x1d, 0x22, 0x2a) } else { Color32::from_rgb(0xf6, 0xf8, 0xfa) };
    visuals.panel_fill = panel;
    visuals.window_fill = panel;
    visuals.extreme_bg_color = theme.plot_background;
    visuals.faint_bg_color =
        if theme.is_dark { Color32::from_rgb(0x21, 0x27, 0x30) } else { Color32::from_rgb(0xee, 0xf1, 0xf5) };
    visuals.weak_text_color = Some(theme.dim);
    visuals.hyperlink_color = theme.accent;
    visuals.warn_fg_color = theme.growth;
    visuals.error_fg_color = theme.warning;
    visuals.selection.bg_fill =
        if theme.is_dark { Color32::from_rgb(0x1f, 0x4e, 0x70) } else { Color32::from_rgb(0xbc, 0xdc, 0xf2) };
    visuals.selection.stroke = Stroke::new(1.0, theme.text);
    visuals.window_corner_radius = CornerRadius::same(6);
    let raised = [
        (&mut visuals.widgets.inactive, 0.0),
        (&mut visuals.widgets.hovered, 0.10),
        (&mut visuals.widgets.active, 0.18),
        (&mut visuals.widgets.open, 0.06),
    ];
    for (widget, share) in raised {
        widget.weak_bg_fill = mix(theme.banner, theme.text, share);
        widget.bg_fill = mix(theme.banner, theme.text, share + 0.06);
    }
    for widget in [
        &mut visuals.widgets.noninteractive,
        &mut visuals.widgets.inactive,
        &mut visuals.widgets.hovered,
        &mut visuals.widgets.active,
        &mut visuals.widgets.open,
    ] {
        widget.fg_stroke.color = theme.text;
        widget.corner_radius = CornerRadius::same(4);
    }
    visuals.widgets.noninteractive.bg_stroke = Stroke::new(1.0, theme.faint);
    visuals
}
