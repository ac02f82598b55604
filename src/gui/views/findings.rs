//! All findings as cards: the verdict, the evidence as links, what would refute it, and what to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use eframe::egui::{Align, Button, CollapsingHeader, Frame, Label, Link, Margin, RichText, ScrollArea, Stroke, Ui};

use crate::analysis::advice::Advice;
use crate::analysis::diagnosis::evidence::Evidence;
use crate::analysis::diagnosis::pattern::PatternId;
use crate::analysis::diagnosis::{Finding, Verdict};
use crate::base::ids::DumpIdx;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::advice::{advice_for, advice_text, file_name};
use crate::present::diagnosis::{
    evidence_text, finding_text, place_hint, sentence, title, verdict_line, verdict_mark, verdict_text, verdict_tone,
};

/// What the tab remembers.
#[derive(Default)]
pub struct FindingsState {
    derived: Option<Derived>,
    /// Opened or closed against the usual: what was found is open.
    toggled: BTreeSet<PatternId>,
    shown: Option<PatternId>,
    #[cfg(windows)]
    asked_to_run: Option<Vec<String>>,
}

/// The advice of each finding, in the order of the findings.
struct Derived {
    findings: Arc<Vec<Finding>>,
    advice: Arc<Vec<Vec<Advice>>>,
}

pub fn findings_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut FindingsState) {
    let dumps = ctx.session.interval_dumps();
    let Some(findings) = ctx.session.findings().map(Arc::clone) else {
        ui.weak("Judging the series…");
        return;
    };
    let known = state.derived.take().filter(|known| Arc::ptr_eq(&known.findings, &findings));
    let derived = known.unwrap_or_else(|| {
        let advice = findings.iter().map(|finding| advice_for(&ctx.session.analysis, &dumps, finding)).collect();
        Derived { findings: Arc::clone(&findings), advice: Arc::new(advice) }
    });
    let all_advice = Arc::clone(&derived.advice);
    state.derived = Some(derived);
    head_ui(ui, ctx, &findings, &dumps);
    let asked = ctx.session.asked_finding.filter(|asked| state.shown != Some(*asked));
    ScrollArea::vertical().id_salt("findings").auto_shrink(false).show(ui, |ui| {
        for (finding, advice) in findings.iter().zip(all_advice.iter()) {
            card_ui(ui, ctx, state, finding, advice, asked);
        }
    });
    state.shown = ctx.session.asked_finding;
    #[cfg(windows)]
    confirm_ui(ui, ctx, state);
}

fn head_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, findings: &[Finding], dumps: &[DumpIdx]) {
    ui.horizontal_wrapped(|ui| {
        let over = match (dumps.first(), dumps.last()) {
            (Some(from), Some(to)) if from != to => format!("Dumps {from} to {to}"),
            (Some(only), _) => format!("Dump {only}"),
            _ => String::new(),
        };
        ui.strong(over);
        if ui.small_button("Copy all").on_hover_text("All findings as text").clicked() {
            let text: String = findings.iter().map(finding_text).collect();
            ctx.send(Command::CopyText(text));
        }
        if let Some(line) = verdict_line(findings) {
            ui.add(Label::new(RichText::new(sentence(&line)).weak()).wrap());
        }
    });
    ui.add_space(4.0);
}

fn card_ui(
    ui: &mut Ui,
    ctx: &ViewCtx<'_>,
    state: &mut FindingsState,
    finding: &Finding,
    advice: &[Advice],
    asked: Option<PatternId>,
) {
    let is_asked = asked == Some(finding.pattern);
    let is_usually_open = finding.verdict == Verdict::Found;
    if is_asked {
        // Open, whatever it was.
        if is_usually_open {
            state.toggled.remove(&finding.pattern)
        } else {
            state.toggled.insert(finding.pattern)
        };
    }
    let is_open = is_usually_open != state.toggled.contains(&finding.pattern);
    let edge =
        if finding.verdict == Verdict::Found { ctx.theme.tone(verdict_tone(finding.verdict)) } else { ctx.theme.faint };
    let frame = Frame::new().fill(ui.visuals().faint_bg_color).stroke(Stroke::new(1.0, edge)).corner_radius(6);
    let response = frame.inner_margin(Margin::symmetric(12, 8)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_wrapped(|ui| {
            let sign = if is_open { "▼" } else { "▶" };
            let text = RichText::new(format!("{sign} {}", title(finding))).size(15.0).strong();
            if ui.add(Button::new(text).frame(false)).on_hover_text("Open or close").clicked()
                && !state.toggled.remove(&finding.pattern)
            {
                state.toggled.insert(finding.pattern);
            }
            let verdict = format!("{} {}", verdict_mark(finding.verdict), verdict_text(finding));
            ui.label(RichText::new(verdict).color(ctx.theme.tone(verdict_tone(finding.verdict))));
        });
        ui.add(Label::new(sentence(&finding.summary)).wrap());
        if is_open {
            body_ui(ui, ctx, state, finding, advice);
        }
    });
    if is_asked {
        response.response.scroll_to_me(Some(Align::Min));
    }
    ui.add_space(6.0);
}

fn body_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut FindingsState, finding: &Finding, advice: &[Advice]) {
    ui.add_space(4.0);
    for evidence in &finding.evidence {
        evidence_ui(ui, ctx, evidence);
    }
    if !finding.refuted_by.is_empty() {
        ui.add_space(4.0);
        let text = format!("What would refute this: {}.", finding.refuted_by);
        ui.add(Label::new(RichText::new(text).weak()).wrap());
    }
    let source = finding.pattern.source();
    ui.horizontal_wrapped(|ui| {
        if ui.small_button("Copy").on_hover_text("This finding as text").clicked() {
            ctx.send(Command::CopyText(finding_text(finding)));
        }
        if let Some(url) = source.url() {
            let name = if source.is_name_only { "Related to the pattern of this name" } else { "About the pattern" };
            ui.hyperlink_to(RichText::new(name).small(), url);
        }
    });
    if !advice.is_empty() {
        ui.add_space(2.0);
        let is_found = finding.verdict == Verdict::Found;
        CollapsingHeader::new(RichText::new("What to do").strong())
            .id_salt(("advice", finding.pattern.key()))
            .default_open(is_found)
            .show(ui, |ui| {
                for advice in advice {
                    advice_ui(ui, ctx, state, advice);
                }
            });
    }
}

/// A line that leads to its place, and the command that shows the number in WinDbg.
fn evidence_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, evidence: &Evidence) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let text = evidence_text(evidence);
        match evidence.place {
            Some(place) => {
                if ui.add(Link::new(text)).on_hover_text(place_hint(place)).clicked() {
                    ctx.send(Command::ShowPlace(place));
                }
            }
            None => {
                ui.add(Label::new(text).wrap());
            }
        }
        if let Some(command) = &evidence.windbg {
            ctx.windbg_button(ui, command);
        }
    });
}

fn advice_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut FindingsState, advice: &Advice) {
    ui.add(Label::new(sentence(&advice.what)).wrap());
    if !advice.commands.is_empty() {
        Frame::new().fill(ctx.theme.plot_background).corner_radius(4).inner_margin(Margin::symmetric(8, 4)).show(
            ui,
            |ui| {
                for command in &advice.commands {
                    ui.add(Label::new(RichText::new(command).monospace()).wrap());
                }
            },
        );
    }
    ui.horizontal_wrapped(|ui| advice_buttons_ui(ui, ctx, state, advice));
    let rights = if advice.needs_administrator { " Needs an administrator." } else { "" };
    let takes_effect = format!("Takes effect {}.{rights}", advice.takes_effect);
    ui.add(Label::new(RichText::new(takes_effect).weak().small()).wrap());
    for remark in &advice.remarks {
        ui.add(Label::new(RichText::new(format!("Note: {remark}.")).weak().small()).wrap());
    }
    ui.add_space(6.0);
}

fn advice_buttons_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut FindingsState, advice: &Advice) {
    let save = |is_undo: bool, extension: &str, text: &str| {
        ctx.send(Command::SaveText { file_name: file_name(advice, is_undo, extension), text: text.to_owned() });
    };
    if !advice.commands.is_empty() && ui.small_button("Copy command").clicked() {
        ctx.send(Command::CopyText(advice.commands.join("\r\n")));
    }
    if let Some(script) = advice.script()
        && ui.small_button("Save .cmd…").on_hover_text("As a script that stops at the first failure").clicked()
    {
        save(false, "cmd", &script);
    }
    if let Some(registry) = &advice.registry
        && ui.small_button("Save .reg…").on_hover_text("The registry values behind the command").clicked()
    {
        save(false, "reg", &registry.apply);
    }
    if !advice.undo.is_empty() && ui.small_button("Copy undo").on_hover_text(advice.undo.join("\n")).clicked() {
        ctx.send(Command::CopyText(advice.undo.join("\r\n")));
    }
    if let Some(script) = advice.undo_script()
        && ui.small_button("Undo .cmd…").on_hover_text("What takes it back, as a script").clicked()
    {
        save(true, "cmd", &script);
    }
    if let Some(registry) = &advice.registry
        && ui.small_button("Undo .reg…").on_hover_text("What takes the registry file back").clicked()
    {
        save(true, "reg", &registry.undo);
    }
    if ui.small_button("Copy note").on_hover_text("All of this as text, for the customer").clicked() {
        ctx.send(Command::CopyText(advice_text(advice)));
    }
    run_button_ui(ui, state, advice);
}

/// On this system only: gflags as administrator, after a question.
#[cfg(windows)]
fn run_button_ui(ui: &mut Ui, state: &mut FindingsState, advice: &Advice) {
    let is_gflags = !advice.commands.is_empty() && advice.commands.iter().all(|line| line.starts_with("gflags "));
    if is_gflags && ui.small_button("Run as administrator…").on_hover_text("On this machine; asks first").clicked() {
        state.asked_to_run = Some(advice.commands.clone());
    }
}

#[cfg(not(windows))]
const fn run_button_ui(_: &mut Ui, _: &mut FindingsState, _: &Advice) {}

/// Shows the commands and asks.
#[cfg(windows)]
fn confirm_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, state: &mut FindingsState) {
    let Some(lines) = state.asked_to_run.clone() else { return };
    let mut is_answered = false;
    eframe::egui::Window::new("Run as administrator").collapsible(false).resizable(false).show(ui.ctx(), |ui| {
        ui.label("Run on this machine, with an administrator's rights:");
        for line in &lines {
            ui.label(RichText::new(line).monospace());
        }
        ui.horizontal(|ui| {
            if ui.button("Run").clicked() {
                ctx.send(Command::RunElevated(lines.clone()));
                is_answered = true;
            }
            is_answered |= ui.button("Cancel").clicked();
        });
    });
    if is_answered {
        state.asked_to_run = None;
    }
}
