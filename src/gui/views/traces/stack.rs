//! One stack: its frames, and the fields of one of its entries.

use eframe::egui::{CollapsingHeader, Grid, Label, RichText, ScrollArea, Sense, Ui};

use crate::base::addr::{PointerWidth, Va};
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::traces::entry_facts::entry_facts;
use crate::present::traces::leading::{Naming, SkipRules, frame_text, function_text, leading_frame};
use crate::present::traces::stack_table::frame_lines;
use crate::process::traces::{Entry, StoreHeader, entry_at};

use super::{Shown, TracesState, go_to_memory};

/// The selected stack: return addresses and their names, innermost first.
pub(super) fn stack_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut TracesState, shown: &Shown, stack: Option<usize>) {
    let Some(stack) = stack else {
        ui.weak(if shown.rows.is_empty() {
            "No stack passes the filter."
        } else {
            "Choose a stack to see its frames."
        });
        return;
    };
    let first_entry = shown.stacks.counts(stack, shown.interval.to).map(|counts| counts.first_entry);
    let first_entry = first_entry.filter(|va| !va.is_null());
    ui.horizontal(|ui| {
        ui.strong(format!("Stack {}", stack + 1));
        if ui.small_button("Copy").on_hover_text("Copy the stack").clicked() {
            ctx.send(Command::CopyText(frame_lines(&shown.stacks, &shown.naming, stack).join("\n")));
        }
        if let Some(va) = first_entry {
            let button = ui.small_button("Show in memory").on_hover_text("Its first entry, as dps lists it (Enter)");
            if button.clicked() {
                go_to_memory(state, va);
            }
        }
    });
    ui.add(
        Label::new(RichText::new("Innermost first; each name is of the caller that is returned into.").weak())
            .truncate(),
    );
    ScrollArea::both().id_salt("frames").auto_shrink(false).show(ui, |ui| {
        let leading = leading_frame(&shown.naming.symbols, &shown.naming.rules, shown.stacks.frames(stack));
        for va in shown.stacks.frames(stack) {
            frame_ui(ui, ctx, state, &shown.naming, va, shown.stacks.width(stack), leading == Some(va));
        }
        if let Some((header, entry)) = first_entry.and_then(|va| entry_in_dump(shown, va)) {
            ui.add_space(8.0);
            let title = format!("First entry in dump {}", shown.to);
            CollapsingHeader::new(title).id_salt("first entry").default_open(true).show(ui, |ui| {
                entry_ui(ui, header, &entry);
            });
        }
    });
}

/// The entry at an address, with the store that it is in.
fn entry_in_dump(shown: &Shown, va: Va) -> Option<(&StoreHeader, Entry)> {
    let memory = &shown.snapshot.dump.memory;
    shown.snapshot.trace_stores.iter().find_map(|header| Some((header, entry_at(memory, header, va)?)))
}

/// One frame. Those that the rules pass over are dim; the one that leads the stack is strong.
pub(super) fn frame_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    state: &mut TracesState,
    naming: &Naming,
    va: Va,
    width: PointerWidth,
    is_leading: bool,
) {
    let name = naming.symbols.name_of(va);
    let is_skipped = name.as_ref().is_some_and(|name| naming.rules.skips(name));
    let name_text =
        name.as_ref().map_or_else(|| "(in no module)".to_owned(), |_| frame_text(&naming.symbols, va, width));
    let text = RichText::new(format!("{} {name_text}", va.windbg(width))).monospace();
    let text = match (is_leading, is_skipped || name.is_none()) {
        (true, _) => text.strong(),
        (false, true) => text.color(ctx.theme.dim),
        (false, false) => text,
    };
    let response = ui.add(Label::new(text).extend().sense(Sense::click()));
    let Some(name) = name else { return };
    response.context_menu(|ui| {
        let function = function_text(&naming.symbols, va, width);
        if ui.button(format!("Only stacks with {function}")).clicked() {
            state.filter.with.clone_from(&function);
            ui.close();
        }
        if ui.button(format!("Only stacks without {function}")).clicked() {
            state.filter.without.clone_from(&function);
            ui.close();
        }
        ui.separator();
        let pass_over = |rules: SkipRules| ctx.send(Command::SetSkipRules(rules));
        if let Some(function) = name.function
            && ui.button(format!("Pass over {function} for the leading frame")).clicked()
        {
            let mut rules = (*naming.rules).clone();
            rules.functions.push(function.to_owned());
            pass_over(rules);
            ui.close();
        }
        if ui.button(format!("Pass over module {} for the leading frame", name.module)).clicked() {
            let mut rules = (*naming.rules).clone();
            rules.modules.push(name.module.to_owned());
            pass_over(rules);
            ui.close();
        }
    });
}

/// The fields of an entry, by their names in Windows.
pub(super) fn entry_ui(ui: &mut Ui, header: &StoreHeader, entry: &Entry) {
    Grid::new("entry fields").num_columns(2).spacing([12.0, 2.0]).show(ui, |ui| {
        for fact in entry_facts(entry, header.kind, header.width) {
            ui.label(RichText::new(fact.name).weak());
            ui.label(RichText::new(fact.value).monospace());
            ui.end_row();
        }
    });
}
