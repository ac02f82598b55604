//! The status bar: jobs with progress and cancel, the newest message, and what the selected dump is.

use eframe::egui::{Align, Layout, ProgressBar, RichText, Ui};

use crate::gui::app::Message;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::tab::Tab;
use crate::jobs::JobView;
use crate::present::dumps::problems_text;
use crate::present::symbols::symbols_in_short;
use crate::process::regions::Completeness;

pub fn status_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, jobs: &[JobView], message: Option<&Message>) {
    ui.horizontal(|ui| {
        ui.set_min_height(20.0);
        for job in jobs {
            job_ui(ui, ctx, job);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            dump_ui(ui, ctx);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                if let Some(message) = message {
                    message_ui(ui, ctx, message);
                }
            });
        });
    });
}

fn job_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, job: &JobView) {
    ui.label(if job.progress.stage.is_empty() { &job.title } else { &job.progress.stage });
    let bar = if job.progress.total > 0 {
        let share = job.progress.done as f32 / job.progress.total as f32;
        ProgressBar::new(share).text(format!("{} of {}", job.progress.done, job.progress.total))
    } else {
        ProgressBar::new(0.0).animate(true)
    };
    ui.add(bar.desired_width(140.0));
    if ui.small_button("Cancel").on_hover_text("Esc").clicked() {
        ctx.send(Command::CancelJob(job.id));
    }
    ui.separator();
}

fn message_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, message: &Message) {
    if message.is_error {
        if ui.small_button("Dismiss").clicked() {
            ctx.send(Command::DismissMessage);
        }
        let text = RichText::new(&message.text).color(ctx.theme.warning);
        ui.add(eframe::egui::Label::new(text).truncate()).on_hover_text(&message.text);
    } else {
        ui.add(eframe::egui::Label::new(RichText::new(&message.text).weak()).truncate());
    }
}

/// From the right: completeness, Windows version, bitness, problems.
fn dump_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let Some(snapshot) = ctx.session.snapshot() else { return };
    let completeness = match snapshot.address_space.completeness {
        Completeness::Complete => "full map",
        Completeness::Partial => "partial map",
    };
    let system = snapshot.dump.system.as_ref();
    let mut parts = Vec::new();
    parts.extend(system.map(|system| system.architecture.name().to_owned()));
    parts.extend(snapshot.is_wow64().then(|| "WOW64".to_owned()));
    parts.extend(system.map(|system| system.version_text()));
    parts.push(completeness.to_owned());
    ui.label(RichText::new(parts.join(" · ")).weak());
    let problems = problems_text(snapshot);
    if !problems.is_empty() {
        ui.separator();
        let color = if snapshot.problems.has_damage() { ctx.theme.warning } else { ctx.theme.dim };
        let link = ui.link(RichText::new(format!("problems: {problems}")).color(color));
        if link.on_hover_text("Show them in the Log tab").clicked() {
            ctx.send(Command::Show(Tab::Log));
        }
    }
    let symbols = ctx.session.group().and_then(|group| ctx.session.analysis.loaded_symbols_of(group));
    if let Some(symbols) = symbols.filter(|symbols| !symbols.modules().is_empty()) {
        ui.separator();
        let link = ui.link(RichText::new(symbols_in_short(symbols)).color(ctx.theme.dim));
        if link.on_hover_text("Show them in the Symbols tab").clicked() {
            ctx.send(Command::Show(Tab::Symbols));
        }
    }
    ui.separator();
}
