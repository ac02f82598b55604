//! The window in which the rules for the leading frame are edited.

use eframe::egui::{Align2, Context, Role, TextEdit, Ui, WidgetInfo, Window};

use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::traces::leading::SkipRules;

/// What is being typed.
#[derive(Default)]
pub(super) struct SkipRulesState {
    is_open: bool,
    modules: String,
    functions: String,
}

impl SkipRulesState {
    pub fn open(&mut self, rules: &SkipRules) {
        self.is_open = true;
        self.set(rules);
    }

    fn set(&mut self, rules: &SkipRules) {
        self.modules = rules.modules.join("\n");
        self.functions = rules.functions.join("\n");
    }

    fn rules(&self) -> SkipRules {
        SkipRules { modules: SkipRules::parse_lines(&self.modules), functions: SkipRules::parse_lines(&self.functions) }
    }
}

pub(super) fn skip_rules_ui(ui_ctx: &Context, ctx: &ViewCtx<'_>, state: &mut SkipRulesState) {
    let mut is_open = state.is_open;
    Window::new("Leading frame")
        .open(&mut is_open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, [0.0, 0.0])
        .show(ui_ctx, |ui| {
            ui.set_max_width(520.0);
            ui.label("A stack is named by its first frame, from the inside, that is in none of these. One name a line; * stands for anything.");
            ui.add_space(4.0);
            ui.columns(2, |columns| {
                if let [left, right] = columns {
                    list_ui(left, "Modules to pass over", &mut state.modules);
                    list_ui(right, "Functions to pass over", &mut state.functions);
                }
            });
            ui.add_space(4.0);
            ui.horizontal(|ui| {
                if ui.button("Apply").clicked() {
                    ctx.send(Command::SetSkipRules(state.rules()));
                    state.is_open = false;
                }
                if ui.button("Defaults").on_hover_text("What the program begins with").clicked() {
                    state.set(&SkipRules::default());
                }
            });
        });
    state.is_open &= is_open;
}

fn list_ui(ui: &mut Ui, title: &str, text: &mut String) {
    ui.strong(title);
    let response = ui.add(TextEdit::multiline(text).desired_rows(13).desired_width(f32::INFINITY));
    response.widget_info(|| WidgetInfo::labeled(Role::MultilineTextInput, true, format!("{title}, one a line")));
}
