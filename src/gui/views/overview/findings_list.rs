//! The findings in short, beside the plot: mark, name, how sure; a click leads to the card.

use eframe::egui::{Label, Link, RichText, Ui};

use crate::analysis::diagnosis::{Finding, Verdict};
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::diagnosis::{sentence, title, verdict_mark, verdict_text, verdict_tone};

pub(super) fn findings_list_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let Some(findings) = ctx.session.findings() else {
        ui.weak("Judging the series…");
        return;
    };
    for finding in findings.iter() {
        row_ui(ui, ctx, finding);
    }
}

fn row_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, finding: &Finding) {
    let colour = ctx.theme.tone(verdict_tone(finding.verdict));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.label(RichText::new(verdict_mark(finding.verdict)).color(colour));
        let name = RichText::new(title(finding));
        let name = if finding.verdict == Verdict::Found { name.strong() } else { name };
        if ui.add(Link::new(name)).on_hover_text(&finding.summary).clicked() {
            ctx.send(Command::ShowFinding(finding.pattern));
        }
        ui.label(RichText::new(verdict_text(finding)).color(colour));
    });
    if finding.verdict == Verdict::Found {
        ui.indent(finding.pattern.key(), |ui| {
            ui.add(Label::new(RichText::new(sentence(&finding.summary)).weak()).wrap())
        });
    }
}
