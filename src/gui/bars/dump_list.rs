//! The dumps of the series at the left, and the facts of the selected one below them.

use eframe::egui::{
    CollapsingHeader, Frame, Label, Margin, Panel, Response, RichText, Role, ScrollArea, Sense, Ui, UiBuilder,
    WidgetInfo, vec2,
};

use crate::analysis::series::umdh_group::LogGroup;
use crate::base::ids::{DumpIdx, LogIdx};
use crate::base::units::ByteSize;
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::gui::selection::Item;
use crate::gui::tab::Tab;
use crate::input::umdh::LogKind;
use crate::present::process::{environment, process_facts};
use crate::present::umdh::group_name;
use crate::present::umdh::log_table::log_line;
use crate::present::value::ABSENT_TEXT;

pub fn dump_list_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    Panel::bottom("facts").default_size(280.0).min_size(80.0).resizable(true).frame(Frame::new()).show(ui, |ui| {
        ui.add_space(8.0);
        facts_ui(ui, ctx);
    });
    ScrollArea::vertical().id_salt("dump list").auto_shrink(false).show(ui, |ui| {
        let has_groups = ctx.session.analysis.groups.len() > 1;
        for group in &ctx.session.analysis.groups {
            let name = group.identity.image.as_deref().unwrap_or("unknown image");
            let pid = group.identity.pid.map_or_else(String::new, |pid| format!(" · {pid}"));
            ui.add(Label::new(RichText::new(format!("{name}{pid}")).strong()).truncate());
            for dump in &group.dumps {
                dump_ui(ui, ctx, *dump);
            }
            if let Some(logs) = ctx.session.analysis.logs_of(group) {
                logs_ui(ui, ctx, logs);
            }
            if has_groups {
                ui.add_space(8.0);
            }
        }
        for logs in ctx.session.analysis.log_groups.iter().filter(|logs| logs.dumps.is_none()) {
            ui.add(Label::new(RichText::new(group_name(logs)).strong()).truncate());
            for log in &logs.logs {
                log_ui(ui, ctx, *log);
            }
            ui.add_space(8.0);
        }
    });
}

/// The logs of a process below its dumps, folded: the dumps stay in sight, and the UMDH tab lists the logs too.
fn logs_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, logs: &LogGroup) {
    let count = logs.logs.len();
    let title = if count == 1 { "1 UMDH log".to_owned() } else { format!("{count} UMDH logs") };
    let header = CollapsingHeader::new(RichText::new(title).small()).id_salt(("logs", logs.dumps));
    header.show_unindented(ui, |ui| {
        for log in &logs.logs {
            log_ui(ui, ctx, *log);
        }
    });
}

/// A log takes one line.
fn log_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, index: LogIdx) {
    let Some(log) = ctx.session.analysis.log(index) else { return };
    let name = log.file.file_name();
    let is_selected = ctx.session.selected == Some(Item::Log(index));
    let when = log.time.utc.map_or_else(|| "no time".to_owned(), |time| time.day_clock_text());
    let is_comparison = log.file.kind == LogKind::Comparison;
    let what = if is_comparison { "comparison".to_owned() } else { when };
    let response = row_ui(ui, is_selected, |ui| {
        ui.horizontal(|ui| {
            ui.add(Label::new(RichText::new(what).small().weak()).selectable(false));
            ui.add(Label::new(RichText::new(&name).small()).truncate().selectable(false));
        });
    });
    let line = log_line(log);
    response
        .widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, is_selected, format!("log {index} {line}")));
    if response.clicked() {
        ctx.send(Command::Select(Item::Log(index)));
        ctx.send(Command::Show(Tab::Umdh));
    }
    let response = response.on_hover_text(line);
    response.context_menu(|ui| {
        if ui.button("Copy the path").clicked() {
            ctx.send(Command::CopyText(log.file.path.display().to_string()));
            ui.close();
        }
    });
}

fn dump_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, dump: DumpIdx) {
    let Some(snapshot) = ctx.session.analysis.snapshot(dump) else { return };
    let committed = snapshot.address_space.totals.committed_bytes();
    let committed = committed.map_or_else(|| ABSENT_TEXT.to_owned(), |bytes| ByteSize(bytes).to_string());
    let time = snapshot.time().map_or_else(|| "no time".to_owned(), |time| time.table_text());
    let name = snapshot.file_name();
    let is_selected = ctx.session.dump() == Some(dump);
    let response = row_ui(ui, is_selected, |ui| {
        ui.horizontal(|ui| {
            ui.add(Label::new(RichText::new(format!("{dump}")).strong()).selectable(false));
            ui.add(Label::new(RichText::new(&name)).truncate().selectable(false));
        });
        ui.horizontal(|ui| {
            let when = snapshot.time().map_or_else(|| "no time".to_owned(), |time| time.day_clock_text());
            ui.add(Label::new(RichText::new(format!("{when} · {committed}")).small().weak()).selectable(false));
            if ctx.session.baseline() == Some(dump) {
                ui.add(Label::new(RichText::new("baseline").small().color(ctx.theme.accent)).selectable(false));
            }
            if snapshot.problems.has_damage() {
                ui.add(Label::new(RichText::new("damaged").small().color(ctx.theme.warning)).selectable(false));
            }
        });
    });
    response.widget_info(|| {
        WidgetInfo::selected(Role::ListBoxOption, true, is_selected, format!("dump {dump} {name} {time} {committed}"))
    });
    if response.clicked() {
        ctx.send(Command::Select(Item::Dump(dump)));
    }
    response.context_menu(|ui| {
        if ui.button("Compare others with this dump").clicked() {
            ctx.send(Command::SetBaseline(Some(dump)));
            ui.close();
        }
        if ui.button("Copy the path").clicked() {
            ctx.send(Command::CopyText(snapshot.dump.path.display().to_string()));
            ui.close();
        }
    });
}

fn row_ui(ui: &mut Ui, is_selected: bool, content: impl FnOnce(&mut Ui)) -> Response {
    let builder = UiBuilder::new().id_salt(ui.next_auto_id()).sense(Sense::click());
    let response = ui.scope_builder(builder, |ui| {
        let hovered = ui.response().hovered();
        let fill = match (is_selected, hovered) {
            (true, _) => ui.visuals().selection.bg_fill,
            (false, true) => ui.visuals().widgets.hovered.weak_bg_fill,
            (false, false) => ui.visuals().faint_bg_color,
        };
        Frame::new().fill(fill).corner_radius(4).inner_margin(Margin::symmetric(8, 4)).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 2.0;
            content(ui);
        });
    });
    response.response
}

fn facts_ui(ui: &mut Ui, ctx: &ViewCtx<'_>) {
    let Some((dump, snapshot)) = ctx.session.dump().zip(ctx.session.snapshot()) else { return };
    ui.strong(format!("Dump {dump}"));
    ScrollArea::vertical().id_salt("facts").auto_shrink(false).show(ui, |ui| {
        for fact in process_facts(snapshot) {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = vec2(6.0, 0.0);
                ui.label(RichText::new(fact.name).small().weak());
                ui.label(RichText::new(&fact.value).small());
            });
        }
        // In the window only: the environment may hold secrets that a report should not carry off.
        let environment = environment(snapshot);
        if !environment.is_empty() {
            let title = RichText::new(format!("environment ({})", environment.len())).small();
            CollapsingHeader::new(title).id_salt("environment").show(ui, |ui| {
                for variable in environment {
                    ui.add(Label::new(RichText::new(variable).small()).wrap());
                }
            });
        }
    });
}
