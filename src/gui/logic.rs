//! Once a frame, before painting: fetch what jobs and dialogs gave, take shortcuts and dropped files, apply commands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{self, Key, KeyboardShortcut, Modifiers};

use crate::analysis::Analysis;
use crate::analysis::diagnosis::evidence::Place as EvidencePlace;
use crate::base::ids::DumpIdx;
use crate::base::progress::{Cancelled, Progress};
use crate::jobs::Finished;
use crate::jobs::open_series::{
    JobOutput, SymbolChoice, decode_series, decode_series_heaps, download_symbols, join_series, judge_series,
    make_capsule, make_report, name_series, open_sample, open_series, read_series_logs, save_file, unwind_series,
};
use crate::present::log::{Gravity, LogEntry};

use super::app::{App, Message};
use super::command::Command;
use super::dialogs::Answer;
use super::running_window::{Incoming, Start, hand_over_or_listen, name_of_this_user};
use super::screenshot::{Target, to_png};
use super::selection::{History, Item, Place};
use super::session::{Judged, Session};
use super::tab::Tab;
use super::{settings, theme};

const JUDGING: &str = "judging the series";
const NAMING: [&str; 2] = [READING_SYMBOLS, DOWNLOADING_SYMBOLS];
const READING_SYMBOLS: &str = "reading symbols";
const DOWNLOADING_SYMBOLS: &str = "downloading symbols";
/// How long the bars of running jobs may be out of date.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Shortcuts that menus show; those that need more than a command are in [`App::take_shortcuts`].
pub const SHORTCUTS: [(KeyboardShortcut, Command); 11] = [
    (KeyboardShortcut::new(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::O), Command::AskForFolder),
    (KeyboardShortcut::new(Modifiers::CTRL, Key::O), Command::AskForFiles),
    (KeyboardShortcut::new(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::S), Command::SaveCapsule),
    (KeyboardShortcut::new(Modifiers::CTRL, Key::S), Command::SaveReport),
    (KeyboardShortcut::new(Modifiers::NONE, Key::F5), Command::Reload),
    (KeyboardShortcut::new(Modifiers::ALT, Key::ArrowLeft), Command::Back),
    (KeyboardShortcut::new(Modifiers::ALT, Key::ArrowRight), Command::Forward),
    (KeyboardShortcut::new(Modifiers::SHIFT, Key::F12), Command::CopyScreenshot),
    (KeyboardShortcut::new(Modifiers::NONE, Key::F12), Command::SaveScreenshot),
    (KeyboardShortcut::new(Modifiers::NONE, Key::F1), Command::ShowHelp(true)),
    (KeyboardShortcut::new(Modifiers::CTRL, Key::Q), Command::Quit),
];

const TAB_KEYS: [Key; 9] =
    [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];

impl App {
    pub(super) fn run_logic(&mut self, ctx: &egui::Context) {
        self.drain_jobs(ctx);
        self.drain_dialogs();
        self.drain_screenshots(ctx);
        self.take_dropped_files(ctx);
        self.take_handed_files(ctx);
        self.take_shortcuts(ctx);
        let commands = std::mem::take(&mut *self.commands.borrow_mut());
        for command in commands {
            self.apply(ctx, command);
        }
        self.judge_when_due();
        self.make_capsule_when_due();
        if !self.jobs.is_idle() {
            ctx.request_repaint_after(PROGRESS_INTERVAL);
        }
        let is_loaded = self.jobs.is_idle() && self.session.generation > 0;
        if is_loaded {
            self.screenshots.count_frame(ctx);
        }
        self.fit_to_monitor(ctx);
        self.note_window_size(ctx);
    }

    fn drain_jobs(&mut self, ctx: &egui::Context) {
        for (id, title, finished) in self.jobs.drain() {
            self.opening = self.opening.take().filter(|(opening, _)| *opening != id);
            match finished {
                Finished::Done(JobOutput::Opened { inputs, analysis }) => {
                    self.show_series(inputs, *analysis);
                    ctx.send_viewport_cmd(egui::ViewportCommand::Title(self.title()));
                }
                Finished::Done(JobOutput::Decoded(analysis)) => {
                    self.take_stage(&analysis, |shown| Analysis { traces: analysis.traces.clone(), ..shown });
                    self.read_logs();
                    self.read_symbols_when_due();
                    self.join_when_due();
                }
                Finished::Done(JobOutput::LogsRead(analysis)) => {
                    self.take_stage(&analysis, |shown| Analysis { umdh: analysis.umdh.clone(), ..shown });
                    // Their stacks may be of modules that no other stack is of.
                    self.read_symbols_when_due();
                }
                Finished::Done(JobOutput::HeapsDecoded(analysis)) => {
                    self.take_stage(&analysis, |shown| Analysis { heaps: analysis.heaps.clone(), ..shown });
                    self.join_when_due();
                }
                Finished::Done(JobOutput::Joined(analysis)) => {
                    self.take_stage(&analysis, |shown| Analysis { outstanding: analysis.outstanding.clone(), ..shown });
                }
                Finished::Done(JobOutput::Judged { generation, dumps, findings }) => {
                    self.session.judged = Some(Judged { generation, dumps, findings: Arc::new(findings) });
                }
                Finished::Done(JobOutput::Ran(lines)) => self.tell(format!("done: {lines}"), false),
                Finished::Done(JobOutput::Unwound(analysis)) => {
                    let stacks = analysis.thread_stacks.clone();
                    self.take_stage(&analysis, |shown| Analysis { thread_stacks: stacks, ..shown });
                    self.read_symbols_when_due();
                }
                Finished::Done(JobOutput::Named { analysis, has_servers }) => {
                    let (symbols, stacks) = (analysis.symbols.clone(), analysis.thread_stacks.clone());
                    let is_shown = self.take_stage(&analysis, |shown| Analysis {
                        symbols,
                        // Frame data and image files may have made them longer.
                        thread_stacks: stacks.or(shown.thread_stacks),
                        ..shown
                    });
                    if is_shown && has_servers {
                        let choice = self.symbol_choice();
                        self.start_naming(DOWNLOADING_SYMBOLS, move |analysis, progress| {
                            download_symbols(analysis, &choice, progress)
                        });
                    }
                }
                Finished::Done(JobOutput::Made { file_name, bytes }) => {
                    self.dialogs.ask_where_to_save(ctx, &file_name, bytes);
                }
                Finished::Done(JobOutput::Saved(path)) => {
                    self.tell(format!("saved {}", path.display()), false);
                    if self.screenshots.unattended_path().as_ref() == Some(&path) {
                        ctx.send_viewport_cmd(egui::ViewportCommand::Close);
                    }
                }
                Finished::Done(JobOutput::Failed(text)) => self.tell(text, true),
                // Outdated, or cancelled with the rest: the next choice of dumps is judged again.
                Finished::Cancelled if title == JUDGING => {}
                // A newer choice of symbols took its place; the user cancelled nothing.
                Finished::Cancelled
                    if NAMING.contains(&&*title) && self.naming_job.is_some_and(|newest| newest != id) => {}
                Finished::Cancelled => self.tell(format!("{title}: cancelled"), false),
                Finished::Panicked(text) => {
                    self.tell(format!("{title}: dumptrend made a mistake, please report it: {text}"), true);
                }
            }
        }
    }

    /// Takes over a new analysis. When nothing in it can be shown, what was open stays.
    fn show_series(&mut self, inputs: Vec<PathBuf>, analysis: Analysis) {
        let failed_count = analysis.failures.len();
        let first_failure = analysis.failures.first().map(|failure| failure.text.clone());
        if analysis.is_empty() {
            let text = first_failure.unwrap_or_else(|| "there is nothing to open".to_owned());
            for failure in &analysis.failures {
                self.messages.push(LogEntry {
                    gravity: Gravity::Failure,
                    file: String::new(),
                    place: String::new(),
                    text: failure.text.clone(),
                });
            }
            self.message = Some(Message { text: with_more(text, failed_count), is_error: true });
            return;
        }
        let kept = (inputs == self.session.inputs).then(|| Kept::of(&self.session));
        self.settings.remember(&inputs);
        self.save_settings();
        self.is_capsule_wanted = false;
        self.session.inputs = inputs;
        self.session.analysis = Arc::new(analysis);
        self.session.generation += 1;
        let kept = kept.unwrap_or_default();
        let find = |path: &PathBuf| {
            let found = self.session.analysis.snapshots.iter().position(|snapshot| snapshot.dump.path == *path);
            found.map(DumpIdx)
        };
        let baseline = kept.baseline.as_ref().and_then(find);
        let interval = kept.interval.as_ref().and_then(|(from, to)| Some((find(from)?, find(to)?)));
        let selected = kept.selected.as_ref().and_then(find);
        self.session.baseline = baseline;
        self.session.interval = interval.filter(|(from, to)| from < to);
        self.session.selected = None;
        self.session.selected = selected.or_else(|| self.session.dump()).map(Item::Dump);
        // Places in another series mean nothing in this one. Of logs alone only one tab has something to show.
        let has_dumps = !self.session.analysis.snapshots.is_empty();
        let tab = if has_dumps { self.history.place().tab } else { Tab::Umdh };
        let place = Place { tab, item: self.session.selected };
        self.history = History::starting_at(place);
        self.start_stages();
        match first_failure {
            Some(text) => self.message = Some(Message { text: with_more(text, failed_count), is_error: true }),
            None => {
                let analysis = &self.session.analysis;
                let counted = |count: usize, what: &str| match count {
                    0 => None,
                    1 => Some(format!("1 {what}")),
                    count => Some(format!("{count} {what}s")),
                };
                let parts = [counted(analysis.snapshots.len(), "dump"), counted(analysis.logs.len(), "UMDH log")];
                let text = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
                self.tell(format!("{text} opened"), false);
            }
        }
    }

    /// What is decoded in the background once a series is shown.
    fn start_stages(&mut self) {
        if self.session.analysis.capsule.is_some() {
            // All is decoded; only PDBs on this machine may still tell more.
            self.read_symbols();
            return;
        }
        if self.session.analysis.snapshots.iter().any(|snapshot| !snapshot.trace_stores.is_empty()) {
            let analysis = Arc::clone(&self.session.analysis);
            self.jobs.start("decoding stack traces", move |progress| decode_series(&analysis, progress));
        } else {
            self.read_logs();
        }
        if self.session.analysis.snapshots.iter().any(|snapshot| !snapshot.heaps.is_empty()) {
            let analysis = Arc::clone(&self.session.analysis);
            self.jobs.start("decoding heaps", move |progress| decode_series_heaps(&analysis, progress));
        }
        let analysis = Arc::clone(&self.session.analysis);
        self.jobs.start("unwinding stacks", move |progress| unwind_series(&analysis, progress));
    }

    /// Logs are read when the stacks of the dumps, which stand beside theirs, are known.
    fn read_logs(&mut self) {
        if self.session.analysis.logs.is_empty() {
            return;
        }
        let analysis = Arc::clone(&self.session.analysis);
        self.jobs.start("reading UMDH logs", move |progress| read_series_logs(&analysis, progress));
    }

    /// Takes over what a later stage found, unless another series was opened meanwhile. Stages end in any order.
    /// Says whether it did.
    fn take_stage(&mut self, analysis: &Analysis, join: impl FnOnce(Analysis) -> Analysis) -> bool {
        let shown = &self.session.analysis;
        let is_same = analysis.snapshots.len() == shown.snapshots.len()
            && analysis.logs.len() == shown.logs.len()
            && analysis.snapshots.iter().zip(&shown.snapshots).all(|(a, b)| Arc::ptr_eq(a, b))
            && analysis.logs.iter().zip(&shown.logs).all(|(a, b)| Arc::ptr_eq(a, b));
        if is_same {
            self.session.analysis = Arc::new(join(Analysis::clone(&self.session.analysis)));
            self.session.generation += 1;
        }
        is_same
    }

    /// Blocks are tied to stacks once both are decoded.
    fn join_when_due(&mut self) {
        let analysis = &self.session.analysis;
        if analysis.heaps.is_some() && analysis.traces.is_some() && analysis.outstanding.is_none() {
            let analysis = Arc::clone(analysis);
            self.jobs.start("looking up stacks of blocks", move |progress| join_series(&analysis, progress));
        }
    }

    /// Findings are made again for each stage and each choice of dumps; the newest request wins.
    fn judge_when_due(&mut self) {
        let key = (self.session.generation, self.session.interval_dumps());
        if key.1.is_empty() || self.judging.as_ref().is_some_and(|(known, _)| *known == key) {
            return;
        }
        if let Some((_, older)) = self.judging.take() {
            self.jobs.cancel(older);
        }
        let (analysis, (generation, dumps)) = (Arc::clone(&self.session.analysis), key.clone());
        let id = self.jobs.start(JUDGING, move |progress| judge_series(&analysis, generation, dumps, progress));
        self.judging = Some((key, id));
    }

    /// Symbols are wanted for the modules that occur in stacks: once these are known.
    fn read_symbols_when_due(&mut self) {
        let analysis = &self.session.analysis;
        let has_stores = analysis.snapshots.iter().any(|snapshot| !snapshot.trace_stores.is_empty());
        if analysis.thread_stacks.is_some() && (analysis.traces.is_some() || !has_stores) {
            self.read_symbols();
        }
    }

    fn read_symbols(&mut self) {
        let choice = self.symbol_choice();
        self.start_naming(READING_SYMBOLS, move |analysis, progress| name_series(analysis, &choice, progress));
    }

    /// The user asks: servers may have by now what they had not.
    fn read_symbols_anew(&mut self) {
        self.symbol_choice().forget_answers();
        if !self.session.is_empty() {
            self.read_symbols();
        }
    }

    fn symbol_choice(&self) -> SymbolChoice {
        SymbolChoice { path: self.settings.symbol_path.clone(), is_download_on: self.settings.is_download_on }
    }

    /// Names with the newest choice replace those that are on their way.
    fn start_naming(
        &mut self,
        title: &str,
        work: impl FnOnce(&Analysis, &Progress) -> Result<JobOutput, Cancelled> + Send + 'static,
    ) {
        if let Some(before) = self.naming_job {
            self.jobs.cancel(before);
        }
        let analysis = Arc::clone(&self.session.analysis);
        self.naming_job = Some(self.jobs.start(title, move |progress| work(&analysis, progress)));
    }

    /// The window's title: the process first, because task bars cut titles at the end.
    fn title(&self) -> String {
        let image = self.session.group().and_then(|group| group.identity.image.as_deref());
        image.map_or_else(|| "dumptrend".to_owned(), |image| format!("{image} – dumptrend"))
    }

    fn drain_dialogs(&mut self) {
        match self.dialogs.poll() {
            Some(Answer::Command(command)) => self.commands.borrow_mut().push(command),
            Some(Answer::Save { path, bytes }) => {
                self.jobs.start("saving", move |_| Ok(save_file(path, &bytes)));
            }
            None => {}
        }
    }

    fn drain_screenshots(&mut self, ctx: &egui::Context) {
        for (target, picture) in self.screenshots.poll() {
            if target == Target::Clipboard {
                ctx.copy_image((*picture).clone());
                self.tell("picture copied".to_owned(), false);
                continue;
            }
            match to_png(&picture) {
                Err(error) => self.tell(format!("the picture cannot be made: {error}"), true),
                Ok(bytes) => match self.screenshots.unattended_path().filter(|_| target == Target::Unattended) {
                    Some(path) => {
                        self.jobs.start("saving", move |_| Ok(save_file(path, &bytes)));
                    }
                    None => self.dialogs.ask_where_to_save(ctx, "dumptrend.png", bytes),
                },
            }
        }
    }

    /// Dropped files open as a new series; with Ctrl held they join the open one.
    fn take_dropped_files(&self, ctx: &egui::Context) {
        let (paths, is_adding) = ctx.input(|input| {
            let paths: Vec<PathBuf> = input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect();
            (paths, input.modifiers.command)
        });
        if !paths.is_empty() {
            self.send(if is_adding { Command::Add(paths) } else { Command::Open(paths) });
        }
    }

    /// Files of another start join the series, and the window comes to the front.
    fn take_handed_files(&self, ctx: &egui::Context) {
        let paths = self.incoming.as_ref().map(Incoming::poll).unwrap_or_default();
        if !paths.is_empty() {
            self.send(Command::Add(paths));
            ctx.send_viewport_cmd(egui::ViewportCommand::Minimized(false));
            ctx.send_viewport_cmd(egui::ViewportCommand::Focus);
        }
    }

    /// Takes files of other starts from now on.
    pub(super) fn receive_from(&mut self, ctx: &egui::Context, incoming: Option<Incoming>) {
        if let Some(incoming) = &incoming {
            incoming.wake(ctx);
        }
        self.incoming = incoming;
    }

    /// A window that is to take the files of other starts begins to listen. One that is not goes on listening, because
    /// starts look at the same setting and do not ask it any more.
    fn set_one_window(&mut self, ctx: &egui::Context, has_one_window: bool) {
        self.settings.has_one_window = has_one_window;
        if !has_one_window || self.incoming.is_some() {
            return;
        }
        match hand_over_or_listen(&name_of_this_user(), &[]) {
            Start::Window(Some(incoming)) => self.receive_from(ctx, Some(incoming)),
            _ => self.tell("files of other starts go to another window that is open already".to_owned(), false),
        }
    }

    fn take_shortcuts(&self, ctx: &egui::Context) {
        ctx.input_mut(|input| {
            for (shortcut, command) in SHORTCUTS {
                if input.consume_shortcut(&shortcut) {
                    self.send(command);
                }
            }
            for (key, tab) in TAB_KEYS.into_iter().zip(Tab::ALL) {
                if input.consume_key(Modifiers::CTRL, key) {
                    self.send(Command::Show(tab));
                }
            }
        });
        let is_escape = ctx.input(|input| input.key_pressed(Key::Escape));
        if is_escape {
            if self.is_help_open || self.is_about_open {
                self.send(Command::ShowHelp(false));
                self.send(Command::ShowAbout(false));
            } else if self.has_work_to_cancel() {
                self.send(Command::CancelAll);
            } else if self.session.interval.is_some() {
                self.send(Command::SetInterval(None));
            }
        }
    }

    /// Judging follows each choice by itself: Escape means the choice, not that.
    fn has_work_to_cancel(&self) -> bool {
        self.jobs.views().iter().any(|job| job.title != JUDGING)
    }

    fn apply(&mut self, ctx: &egui::Context, command: Command) {
        match command {
            Command::Open(paths) => self.open(paths),
            Command::Add(paths) => {
                // Those that are still being opened count too: Explorer hands over several files one by one.
                let opening = self.opening.as_ref().map(|(_, inputs)| inputs);
                let mut inputs = opening.unwrap_or(&self.session.inputs).clone();
                inputs.extend(paths);
                self.open(inputs);
            }
            Command::OpenSample => {
                let folder = self.options.sample_folder.clone();
                self.jobs.cancel_all();
                self.opening = None;
                let choice = self.symbol_choice();
                self.jobs.start("opening the sample series", move |progress| open_sample(&folder, &choice, progress));
            }
            Command::AskForFiles => self.dialogs.ask_for_files(ctx),
            Command::AskForMoreFiles => self.dialogs.ask_for_more_files(ctx),
            Command::AskForFolder => self.dialogs.ask_for_folder(ctx),
            Command::Reload => self.open(self.session.inputs.clone()),
            Command::CloseSeries => {
                let generation = self.session.generation + 1;
                self.session = Session { generation, ..Default::default() };
                self.history = History::starting_at(Place { tab: self.history.place().tab, item: None });
                self.message = None;
                ctx.send_viewport_cmd(egui::ViewportCommand::Title(self.title()));
            }
            Command::ForgetRecent => self.settings.recent.clear(),
            Command::Show(tab) => self.go(tab, self.session.selected),
            Command::Select(item) => self.go(self.history.place().tab, Some(item)),
            Command::ShowPlace(place) => self.show_place(place),
            Command::ShowFinding(pattern) => {
                self.session.asked_finding = Some(pattern);
                self.go(Tab::Findings, self.session.selected);
            }
            #[cfg(windows)]
            Command::RunElevated(lines) => {
                self.jobs.start("running as administrator", move |_| Ok(crate::jobs::elevated::run_elevated(&lines)));
            }
            Command::Back => {
                self.history.back();
                self.session.selected = self.history.place().item;
            }
            Command::Forward => {
                self.history.forward();
                self.session.selected = self.history.place().item;
            }
            Command::SetBaseline(baseline) => {
                self.session.baseline = baseline;
                self.session.interval = None;
            }
            Command::SetInterval(interval) => self.session.interval = interval,
            Command::CopyText(text) => ctx.copy_text(text),
            Command::SaveText { file_name, text } => {
                self.dialogs.ask_where_to_save(ctx, &file_name, text.into_bytes());
            }
            Command::SaveReport => self.make_report(),
            Command::SaveCapsule => {
                self.is_capsule_wanted = !self.session.is_empty();
                if self.is_capsule_wanted && !self.jobs.is_idle() {
                    self.tell("the case capsule is made as soon as all is decoded".to_owned(), false);
                }
            }
            Command::SaveScreenshot => self.screenshots.take(ctx, Target::File),
            Command::CopyScreenshot => self.screenshots.take(ctx, Target::Clipboard),
            Command::CancelJob(id) => self.jobs.cancel(id),
            Command::CancelAll => self.jobs.cancel_all(),
            Command::DismissMessage => self.message = None,
            Command::ShowHelp(is_open) => self.is_help_open = is_open,
            Command::ShowAbout(is_open) => self.is_about_open = is_open,
            Command::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
            Command::SetDivision(_)
            | Command::SetAxis(_)
            | Command::SetScale(_)
            | Command::SetNet(_)
            | Command::SetSkipRules(_)
            | Command::SetSymbolPath(_)
            | Command::SetDownload(_)
            | Command::SetTheme(_)
            | Command::SetOneWindow(_)
            | Command::SetTextSize(_) => self.apply_setting(ctx, &command),
        }
    }

    fn apply_setting(&mut self, ctx: &egui::Context, command: &Command) {
        match command {
            Command::SetDivision(division) => self.settings.division = *division,
            Command::SetAxis(axis) => self.settings.axis = *axis,
            Command::SetScale(scale) => self.settings.scale = *scale,
            Command::SetNet(is_net) => self.settings.is_net = *is_net,
            Command::SetSkipRules(rules) => self.settings.skip_rules.clone_from(rules),
            Command::SetSymbolPath(path) => {
                self.settings.symbol_path.clone_from(path);
                self.read_symbols_anew();
            }
            Command::SetDownload(is_on) => {
                self.settings.is_download_on = *is_on;
                self.read_symbols_anew();
            }
            Command::SetTheme(choice) => {
                self.settings.theme = *choice;
                theme::install(ctx, *choice);
            }
            Command::SetTextSize(factor) => {
                self.settings.text_size = factor.clamp(0.5, 3.0);
                ctx.set_zoom_factor(self.settings.text_size);
            }
            Command::SetOneWindow(has_one_window) => self.set_one_window(ctx, *has_one_window),
            _ => {}
        }
        self.save_settings();
    }

    /// The tab and the item where a piece of evidence can be looked at.
    fn show_place(&mut self, place: EvidencePlace) {
        let dump = place.dump();
        let (tab, item) = match place {
            EvidencePlace::Dump(_) | EvidencePlace::Use { .. } | EvidencePlace::Handles(_) => {
                (Tab::Overview, Item::Dump(dump))
            }
            EvidencePlace::Region { start, .. } => (Tab::Regions, Item::Region { dump, start }),
            EvidencePlace::Heap { base, .. } => {
                let tab = Tab::Heaps;
                (tab, Item::Region { dump, start: base })
            }
            EvidencePlace::Thread { tid, .. } => (Tab::Threads, Item::Thread { dump, tid }),
            EvidencePlace::Store { .. } | EvidencePlace::TraceStack { .. } => (Tab::Traces, Item::Dump(dump)),
            EvidencePlace::Modules(_) => (Tab::Symbols, Item::Dump(dump)),
            EvidencePlace::Problems(_) => (Tab::Log, Item::Dump(dump)),
        };
        self.go(tab, Some(item));
    }

    fn make_report(&mut self) {
        if !self.session.is_empty() {
            let (analysis, baseline) = (Arc::clone(&self.session.analysis), self.session.baseline);
            self.jobs.start("making the report", move |progress| make_report(&analysis, baseline, progress));
        }
    }

    /// A capsule holds what is decoded, and nothing can be decoded out of it later: it waits for all that still runs.
    fn make_capsule_when_due(&mut self) {
        if self.is_capsule_wanted && self.jobs.is_idle() {
            self.is_capsule_wanted = false;
            let analysis = Arc::clone(&self.session.analysis);
            self.jobs.start("making the case capsule", move |progress| make_capsule(&analysis, progress));
        }
    }

    fn open(&mut self, inputs: Vec<PathBuf>) {
        // A recent series is opened from any folder.
        let inputs: Vec<PathBuf> = inputs.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect();
        if !inputs.is_empty() {
            // Two series opening at once would race for the window.
            self.jobs.cancel_all();
            let (choice, kept) = (self.symbol_choice(), inputs.clone());
            let id = self.jobs.start("opening dumps", move |progress| open_series(inputs, &choice, progress));
            self.opening = Some((id, kept));
        }
    }

    fn go(&mut self, tab: Tab, item: Option<Item>) {
        self.session.selected = item;
        self.history.go(Place { tab, item });
    }

    /// Shows a line in the status bar and keeps it for the Log tab.
    pub(super) fn tell(&mut self, text: String, is_error: bool) {
        let gravity = if is_error { Gravity::Failure } else { Gravity::Message };
        self.messages.push(LogEntry { gravity, file: String::new(), place: String::new(), text: text.clone() });
        self.message = Some(Message { text, is_error });
    }

    /// Once, when the window has its place: one that would reach beyond its monitor or under the taskbar fills the monitor
    /// instead. The first start on a laptop at 150 % is such a case.
    fn fit_to_monitor(&mut self, ctx: &egui::Context) {
        const TASKBAR_HEIGHT: f32 = 48.0;
        let sizes = ctx.input(|input| Some((input.viewport().outer_rect?.size(), input.viewport().monitor_size?)));
        let Some((window, monitor)) = sizes.filter(|_| !self.is_fitted) else { return };
        self.is_fitted = true;
        if window.x >= monitor.x || window.y > monitor.y - TASKBAR_HEIGHT {
            ctx.send_viewport_cmd(egui::ViewportCommand::Maximized(true));
        }
    }

    fn note_window_size(&mut self, ctx: &egui::Context) {
        let size = ctx.input(|input| input.viewport().inner_rect).map(|rect| rect.size() * ctx.zoom_factor());
        if let Some(size) = size {
            self.settings.window_size = [size.x, size.y];
        }
    }

    pub(super) fn save_settings(&mut self) {
        let Some(path) = self.options.settings_path.clone() else { return };
        if self.settings == self.saved_settings {
            return;
        }
        match settings::save(&path, &self.settings) {
            Ok(()) => self.saved_settings = self.settings.clone(),
            Err(error) => self.tell(error.to_string(), true),
        }
    }
}

/// What the user chose, by the files themselves: their numbers change when a file comes or goes.
#[derive(Default)]
struct Kept {
    baseline: Option<PathBuf>,
    interval: Option<(PathBuf, PathBuf)>,
    selected: Option<PathBuf>,
}

impl Kept {
    fn of(session: &Session) -> Self {
        let path = |dump: DumpIdx| session.analysis.snapshot(dump).map(|snapshot| snapshot.dump.path.clone());
        Self {
            baseline: session.baseline.and_then(path),
            interval: session.interval.and_then(|(from, to)| Some((path(from)?, path(to)?))),
            selected: session.dump().and_then(path),
        }
    }
}

fn with_more(first: String, count: usize) -> String {
    if count > 1 { format!("{first} (and {} more, see the Log tab)", count - 1) } else { first }
}
