//! Truncated Dump: the file ends before what it names. What lies behind its end looks missing everywhere else.

use super::super::evidence::{Evidence, Number, Place, Strength};
use super::super::facts::{DumpFacts, SeriesFacts};
use super::super::pattern::PatternId;
use super::super::{Finding, NextDumpKind, Subject, Verdict};
use super::{Pattern, plural};
use crate::analysis::thresholds::MOST_NAMED;
use crate::base::units::ByteSize;

const ID: PatternId = PatternId::TruncatedDump;
pub const PATTERN: Pattern = Pattern { id: ID, judge };

fn judge(facts: &SeriesFacts) -> Finding {
    if facts.dumps.is_empty() {
        return Finding::new(ID, Verdict::Undecided, "there is no dump");
    }
    let is_cut = |dump: &&DumpFacts| dump.cut_off_bytes > 0 || !dump.cut_off_streams.is_empty();
    let cut: Vec<&DumpFacts> = facts.dumps.iter().filter(is_cut).collect();
    if !cut.is_empty() {
        let names: Vec<String> = cut.iter().take(MOST_NAMED).map(|dump| dump.dump.to_string()).collect();
        let lines = cut.iter().take(MOST_NAMED).flat_map(|dump| lines(dump));
        let which = if cut.len() == 1 { "dump" } else { "dumps" };
        let bytes = cut.iter().map(|dump| dump.cut_off_bytes).fold(0, u64::saturating_add);
        let missing = if bytes > 0 {
            format!(": {} of memory behind the end of the file", ByteSize(bytes))
        } else {
            String::new()
        };
        return Finding::new(ID, Verdict::Found, format!("{which} {} cut off{missing}", names.join(", ")))
            .evidence(lines)
            .subjects(
                cut.iter()
                    .map(|dump| Subject { name: format!("dump {}", dump.dump), place: Some(Place::Dump(dump.dump)) }),
            )
            .refuted_by("a copy of the same file that is longer: then the transfer cut it, not the writer")
            .next(NextDumpKind::Full, "what lies behind the cut; look for room on the disk first");
    }
    let partial: Vec<&DumpFacts> = facts.dumps.iter().filter(|dump| dump.is_region_list_whole == Some(false)).collect();
    if !partial.is_empty() {
        let text = format!(
            "no file ends too early, but the list of regions is damaged in {}",
            plural(partial.len(), "dump", "dumps")
        );
        return Finding::new(ID, Verdict::Undecided, text)
            .evidence(partial.iter().take(MOST_NAMED).map(|dump| {
                Evidence::new(Strength::Background, format!("dump {}: the list of regions is not whole", dump.dump))
                    .at(Place::Problems(dump.dump))
                    .windbg(".dumpdebug")
            }))
            .next(NextDumpKind::Full, "what the damaged list says");
    }
    let small: Vec<&DumpFacts> = facts.dumps.iter().filter(|dump| !dump.has_full_memory).collect();
    let remark = if small.is_empty() {
        String::new()
    } else {
        format!("; {} not all memory by design (no -ma)", plural(small.len(), "holds", "hold"))
    };
    let text =
        if facts.dumps.len() == 1 { "the file holds all that it names" } else { "the files hold all that they name" };
    let text = format!("{text}{remark}");
    Finding::new(ID, Verdict::RuledOut, text.clone())
        .evidence([Evidence::new(Strength::Proves, text)
            .number(Number::Bytes(0))
            .at(Place::Dump(facts.last_dump()))
            .windbg(".dumpdebug")])
        .refuted_by("a longer copy of one of the files")
}

fn lines(dump: &DumpFacts) -> Vec<Evidence> {
    let memory = (dump.cut_off_bytes > 0).then(|| {
        let text =
            format!("dump {} lists {} of memory that the file does not hold", dump.dump, ByteSize(dump.cut_off_bytes));
        Evidence::new(Strength::Proves, text).number(Number::Bytes(dump.cut_off_bytes))
    });
    let streams = (!dump.cut_off_streams.is_empty()).then(|| {
        let names: Vec<&str> = dump.cut_off_streams.iter().take(MOST_NAMED).map(String::as_str).collect();
        let text = format!("dump {}: cut off in {}", dump.dump, names.join(", "));
        Evidence::new(Strength::Proves, text).number(Number::Count(dump.cut_off_streams.len() as u64))
    });
    memory.into_iter().chain(streams).map(|line| line.at(Place::Problems(dump.dump)).windbg(".dumpdebug")).collect()
}
