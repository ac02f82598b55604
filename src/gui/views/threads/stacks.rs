//! The stacks of the selected thread, side by side in two dumps.

use eframe::egui::{Align, Label, Layout, RichText, ScrollArea, Ui};

use crate::analysis::series::thread_stacks::SeriesThreadStacks;
use crate::analysis::snapshot::Thread;
use crate::base::ids::DumpIdx;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::stacks::{StackForm, end_text, stack_text, thread_text};
use crate::present::thread_matrix::{ThreadMatrix, thread_facts, thread_name};
use crate::present::traces::stack_table::frame_lines;
use crate::present::windbg;
use crate::process::stacks::{ThreadStack, ThreadStacks};

use super::Shown;

pub(super) struct StacksState {
    form: StackForm,
}

impl Default for StacksState {
    fn default() -> Self {
        Self { form: StackForm::CallSites }
    }
}

const FORMS: [(StackForm, &str, &str); 3] = [
    (StackForm::CallSites, "kc", "The call sites only"),
    (StackForm::Plain, "k", "With stack pointers and return addresses"),
    (StackForm::Full, "full", "With the reason why each frame is believed"),
];

/// One of the two dumps: its position in the series, and the position among the compared ones.
struct Side {
    dump: DumpIdx,
    in_series: usize,
    in_matrix: usize,
}

pub(super) fn stacks_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    state: &mut StacksState,
    shown: &Shown,
    matrix: &ThreadMatrix,
    row: Option<usize>,
) {
    let Some((row, history)) = row.and_then(|row| Some((row, matrix.history(row)?))) else {
        ui.weak("No dump of this process has a thread list.");
        return;
    };
    ui.horizontal(|ui| {
        ui.strong(format!("Thread {:x}", history.tid));
        for (form, name, hint) in FORMS {
            ui.selectable_value(&mut state.form, form, name).on_hover_text(hint);
        }
        if ui.small_button("Copy as ~*k").on_hover_text("All threads of the second dump, in WinDbg's form").clicked()
            && let Some(text) = all_threads_text(ctx, shown)
        {
            ctx.send(Command::CopyText(text));
        }
        if let Some(text) = matrix.over_dumps(row) {
            ui.add(Label::new(RichText::new(text).weak()).truncate()).on_hover_text(text);
        }
    });
    let (from, to) = (shown.interval.from, shown.interval.to);
    let mut sides = vec![Side { dump: shown.to, in_series: to, in_matrix: to.saturating_sub(from) }];
    if from != to {
        sides.insert(0, Side { dump: shown.from, in_series: from, in_matrix: 0 });
    }
    ui.columns(sides.len(), |columns| {
        for (ui, side) in columns.iter_mut().zip(&sides) {
            // Columns justify what they hold, which tears text apart.
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                side_ui(ui, ctx, state.form, shown, matrix, row, side);
            });
        }
    });
}

fn side_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    form: StackForm,
    shown: &Shown,
    matrix: &ThreadMatrix,
    row: usize,
    side: &Side,
) {
    let Some(snapshot) = ctx.session.analysis.snapshot(side.dump) else { return };
    let Some(thread) = matrix.thread(row, side.in_matrix) else {
        ui.weak(format!("Dump {} does not have this thread.", side.dump));
        return;
    };
    let position = matrix.history(row).and_then(|history| history.positions.get(side.in_matrix).copied().flatten());
    let stacks = shown.threads.as_ref().zip(position).and_then(|(all, thread)| all.stacks(side.in_series, thread));
    ui.horizontal(|ui| {
        ui.label(RichText::new(format!("Dump {}, {}", side.dump, thread_name(snapshot, thread.tid))).strong());
        if let Some(stacks) = stacks
            && ui.small_button("Copy").on_hover_text("This stack, as it is shown").clicked()
        {
            let text = thread_text(snapshot, thread, stacks, &shown.naming.symbols, form);
            ctx.send(Command::CopyText(text));
        }
        ctx.windbg_button(ui, &windbg::thread_stack(thread.tid));
    });
    let facts = thread_facts(snapshot, thread, stacks);
    ui.add(Label::new(RichText::new(facts).small().weak()).wrap());
    ScrollArea::both().id_salt(("thread stack", side.in_matrix)).auto_shrink(false).show(ui, |ui| match stacks {
        Some(stacks) => thread_ui(ui, ctx, form, shown, stacks),
        None if shown.threads.is_none() => {
            ui.weak("Unwinding…");
        }
        None => {
            ui.weak(if thread.has_exited { "The thread has ended." } else { "Its stack is not known." });
        }
    });
}

fn thread_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, form: StackForm, shown: &Shown, stacks: &ThreadStacks) {
    let halves = [
        ("At the exception", stacks.exception.as_ref()),
        ("32-bit stack", stacks.wow64.as_ref()),
        (if stacks.wow64.is_some() { "64-bit stack" } else { "" }, Some(&stacks.native)),
    ];
    for (title, stack) in halves {
        let Some(stack) = stack else { continue };
        if !title.is_empty() {
            ui.weak(title);
        }
        stack_ui(ui, ctx, form, shown, stack);
    }
}

/// A stack holds a thousand frames at most; one label for all of them.
fn stack_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, form: StackForm, shown: &Shown, stack: &ThreadStack) {
    let text = stack_text(stack, &shown.naming.symbols, form);
    ui.add(Label::new(RichText::new(text.trim_end()).monospace()).extend());
    if let Some(reason) = end_text(stack) {
        ui.add(Label::new(RichText::new(format!("ends here: {reason}")).small().color(ctx.theme.warning)).wrap());
    }
}

/// The frames of a stack that several threads have.
pub(super) fn unique_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    shown: &Shown,
    threads: &SeriesThreadStacks,
    stack: Option<usize>,
) {
    let Some(stack) = stack else {
        ui.weak("Choose a stack to see its frames.");
        return;
    };
    let lines = frame_lines(&threads.unique, &shown.naming, stack);
    ui.horizontal(|ui| {
        ui.strong(format!("Stack {}", stack + 1));
        if ui.small_button("Copy").on_hover_text("Copy the stack").clicked() {
            ctx.send(Command::CopyText(lines.join("\n")));
        }
    });
    ScrollArea::both().id_salt("group frames").auto_shrink(false).show(ui, |ui| {
        ui.add(Label::new(RichText::new(lines.join("\n")).monospace()).extend());
    });
}

/// Every thread of the second dump, as `~*k` lists them.
fn all_threads_text(ctx: &ViewCtx<'_>, shown: &Shown) -> Option<String> {
    let snapshot = ctx.session.analysis.snapshot(shown.to)?;
    let all = shown.threads.as_ref()?.of_dumps.get(shown.interval.to)?;
    let pairs = snapshot.threads.iter().zip(all).filter_map(|(thread, stacks)| Some((thread, stacks.as_ref()?)));
    let text = |(thread, stacks): (&Thread, &ThreadStacks)| {
        thread_text(snapshot, thread, stacks, &shown.naming.symbols, StackForm::Plain)
    };
    Some(pairs.map(text).collect::<Vec<_>>().join("\n"))
}
