//! Case capsules in the window.

use dumptrend::analysis::capsule::write_capsule;
use dumptrend::base::ids::DumpIdx;
use dumptrend::base::progress::Progress;
use dumptrend::gui::command::Command;
use dumptrend::gui::tab::Tab;
use egui_kittest::kittest::Queryable;

use crate::gui::{Window, app, sample_window, send, wait, window_on};

#[test]
fn a_case_capsule_opens_as_the_session_that_it_was_made_of() {
    let (harness, folder) = sample_window();
    let mut bytes = Vec::new();
    let analysis = &app(&harness).session().analysis;
    write_capsule(analysis, &Progress::default(), &mut bytes).expect("memory takes it");
    let path = folder.path().join("case.dumptrend");
    std::fs::write(&path, bytes).expect("a folder to write to");
    let judged = |window: &Window| app(window).session().findings().map(|findings| findings.to_vec());
    let mut reopened = window_on(vec![path]);
    assert!(judged(&harness).is_some_and(|findings| !findings.is_empty()));
    assert_eq!(judged(&harness), judged(&reopened));
    reopened.get_by_label_contains("20 stacks for 148,863 entries");
    for tab in Tab::ALL {
        send(&mut reopened, Command::Show(tab));
        assert!(reopened.query_by_label_contains("being decoded").is_none(), "{}", tab.title());
    }
    // Another interval is judged as with the dumps.
    let interval = Some((DumpIdx(1), DumpIdx(3)));
    let mut harness = harness;
    for window in [&mut harness, &mut reopened] {
        send(window, Command::SetInterval(interval));
    }
    assert_eq!(judged(&harness), judged(&reopened));
    // What only memory tells is said to be absent.
    send(&mut reopened, Command::Show(Tab::Traces));
    reopened.get_by_label("dps").click();
    wait(&mut reopened);
    reopened.get_by_label_contains("A case capsule holds no memory");
}
