//! The exact procdump lines for the next dump. Options as procdump's own help names them: -ma full memory, -s seconds between
//! dumps, -n how many, -w wait for the start, -e unhandled exceptions, -c CPU threshold, -u of one core.

use super::{Advice, Target};
use crate::analysis::diagnosis::{NextDump, NextDumpKind};

/// Between the dumps of a series: long enough for a slow leak to show.
const SERIES_SECONDS: u32 = 3600;

pub fn next_dump(next: &NextDump, target: &Target) -> Advice {
    // A started-again process has another id, so that its name is better; a hostile name must not stand in a command.
    let by_pid = || target.pid.map(|pid| pid.to_string());
    let process = target.safe_image().map(|image| image.quoted()).or_else(by_pid);
    let waited_for = target.safe_image().map(|image| image.quoted());
    let lines = |process: &str| -> Vec<String> {
        let series = format!("procdump -accepteula -ma -s {SERIES_SECONDS} -n 3 {process}");
        match next.kind {
            NextDumpKind::Series | NextDumpKind::WithStacks => vec![series],
            NextDumpKind::Full => vec![format!("procdump -accepteula -ma {process}")],
            NextDumpKind::Baseline => match &waited_for {
                Some(image) => vec![format!("procdump -accepteula -ma -w {image}"), series],
                None => vec![format!("procdump -accepteula -ma {process}"), series],
            },
            NextDumpKind::BusyCpu => vec![format!("procdump -accepteula -ma -c 80 -u -s 10 -n 3 {process}")],
            NextDumpKind::Exception => vec![format!("procdump -accepteula -ma -e {process}")],
        }
    };
    let what = match next.kind {
        NextDumpKind::Series => {
            "take three full dumps an hour apart; nearer where it grows faster than a tenth an hour"
        }
        NextDumpKind::Full => "take a full dump",
        NextDumpKind::Baseline => "take a full dump just after the start, then three more an hour apart",
        NextDumpKind::BusyCpu => "take three full dumps ten seconds apart while the process is busy",
        NextDumpKind::Exception => "let procdump wait for the exception",
        NextDumpKind::WithStacks => "then take three full dumps an hour apart",
    };
    let mut remarks = Vec::new();
    if process.is_none() {
        remarks.push(format!("put the process id where PID stands{}", no_name(target)));
    } else if target.image.is_some() && target.safe_image().is_none() {
        remarks.push(
            "the program's name holds signs that a command line would interpret, so its id stands here".to_owned(),
        );
    }
    if target.pid.is_some() && target.safe_image().is_some() {
        remarks.push("where several processes have this name, use the process id instead".to_owned());
    }
    Advice {
        what: format!("{what}; that will tell {}", next.decides),
        commands: lines(process.as_deref().unwrap_or("PID")),
        undo: Vec::new(),
        takes_effect: "at once; a full dump stops the process for as long as the writing takes".to_owned(),
        remarks,
        registry: None,
        needs_administrator: false,
    }
}

fn no_name(target: &Target) -> &'static str {
    if target.image.is_some() { ": the program's name holds signs that a command line would interpret" } else { "" }
}
