//! One block: its fields, the stack that allocated it, and its memory.

use eframe::egui::{Grid, Label, RichText, ScrollArea, TextStyle, Ui};

use crate::analysis::series::outstanding::{LookedUp, look_up};
use crate::base::addr::{PointerWidth, VaRange};
use crate::gui::command::Command;
use crate::gui::ctx::ViewCtx;
use crate::present::heaps::block_kind_name;
use crate::present::hexdump::{line_count, line_text};
use crate::present::traces::leading::frame_text;
use crate::present::windbg;
use crate::process::heap::block::Block;

use super::Shown;

pub(super) fn detail_ui(ui: &mut Ui, ctx: &ViewCtx<'_>, shown: &Shown, width: PointerWidth, block: Option<&Block>) {
    let Some(block) = block else {
        ui.weak("No block passes the filter.");
        return;
    };
    let stack = stack_lines(ctx, shown, width, block);
    ui.horizontal(|ui| {
        ui.strong(format!("Block {}", block.entry.windbg(width)));
        if let Ok(lines) = &stack
            && ui.small_button("Copy stack").clicked()
        {
            ctx.send(Command::CopyText(lines.join("\n")));
        }
        if let Some(user) = block.user {
            ctx.windbg_button(ui, &windbg::heap_block(user, width));
        }
    });
    Grid::new("block fields").num_columns(4).spacing([12.0, 2.0]).show(ui, |ui| {
        let fact = |ui: &mut Ui, name: &str, value: Option<String>| {
            ui.label(RichText::new(name).weak());
            ui.label(RichText::new(value.unwrap_or_else(|| "–".to_owned())).monospace());
        };
        fact(ui, "state", Some(block_kind_name(block.kind).to_owned()));
        fact(ui, "size", Some(format!("{:x}", block.size_bytes)));
        ui.end_row();
        fact(ui, "UserPtr", block.user.map(|va| va.windbg(width)));
        fact(ui, "UserSize", block.user_bytes.map(|bytes| format!("{bytes:x}")));
        ui.end_row();
    });
    ui.add_space(4.0);
    ui.strong("Allocated by");
    match stack {
        Err(why) => {
            ui.add(Label::new(RichText::new(why).weak()).wrap());
        }
        Ok(lines) => {
            let height = ui.available_height() * 0.45;
            ScrollArea::both().id_salt("block stack").max_height(height).auto_shrink([false, true]).show(ui, |ui| {
                for line in lines {
                    ui.add(Label::new(RichText::new(line).monospace()).extend());
                }
            });
        }
    }
    ui.add_space(4.0);
    ui.strong("Memory");
    let range = VaRange::from_size(block.entry, block.size_bytes);
    let row_height = ui.text_style_height(&TextStyle::Monospace);
    ScrollArea::both().id_salt("block memory").auto_shrink(false).show_rows(
        ui,
        row_height,
        line_count(range),
        |ui, rows| {
            for line in rows {
                let text = line_text(&shown.snapshot.dump.memory, range, line, width);
                ui.add(Label::new(RichText::new(text).monospace()).extend());
            }
        },
    );
}

/// The frames of the stack that allocated a block, innermost first, or why there are none.
fn stack_lines(
    ctx: &ViewCtx<'_>,
    shown: &Shown,
    width: PointerWidth,
    block: &Block,
) -> Result<Vec<String>, &'static str> {
    if !block.kind.is_in_use() {
        return Err("Only blocks in use have a stack.");
    }
    let entry = match look_up(&shown.snapshot, block.trace) {
        LookedUp::NotKept => return Err("This heap keeps no stacks: it was made without gflags +ust."),
        LookedUp::Missing => return Err("This block has no stack, though its heap keeps them."),
        LookedUp::Ambiguous => return Err("Its number may mean several stacks: it has 16 bits only."),
        LookedUp::Nothing => return Err("Its record is in no trace store of this dump."),
        LookedUp::Entry(entry) => entry,
    };
    let symbols = ctx.session.group().map(|group| ctx.session.analysis.symbols_of(group)).unwrap_or_default();
    Ok(entry.frames.iter().map(|va| format!("{} {}", va.windbg(width), frame_text(&symbols, *va, width))).collect())
}
