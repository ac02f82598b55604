//! One window for all starts: a start hands its files to the window that is already there.
//!
//! The window listens on a named pipe (elsewhere a Unix socket) that carries the user's name. Explorer starts one process
//! for each of several selected files at the same moment; the first that gets the name becomes the window. Nothing
//! here waits for a window that does not answer: then the files open in one of their own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use eframe::egui;
use interprocess::local_socket::{ListenerOptions, Name, Stream, prelude::*};

/// A window that does not answer for so long is left alone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Longer lists of files are not handed over; no command line is as long.
const MOST_BYTES: u64 = 1 << 20;
/// How often a start tries to find or to be the window, when many start at once.
const ATTEMPT_COUNT: u32 = 10;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);
const ACCEPTED: &str = "accepted\n";

/// Files that other starts hand to this one.
pub struct Incoming {
    paths: Receiver<Vec<PathBuf>>,
    window: Arc<OnceLock<egui::Context>>,
}

impl Incoming {
    /// Wakes this window from now on when files come.
    pub fn wake(&self, ctx: &egui::Context) {
        // A window has one context.
        drop(self.window.set(ctx.clone()));
    }

    /// What came since the last call.
    pub fn poll(&self) -> Vec<PathBuf> {
        self.paths.try_iter().flatten().collect()
    }
}

/// What became of a start.
pub enum Start {
    /// A window that was already there has the files.
    HandedOver,
    /// This process is the window. Without `Incoming` no other start can reach it.
    Window(Option<Incoming>),
}

/// Hands files to the running window, or becomes the window that others find under this name. Without files there is
/// nothing to hand over: that start is for a new window.
pub fn hand_over_or_listen(name: &str, paths: &[PathBuf]) -> Start {
    let paths: Vec<PathBuf> =
        paths.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect();
    for attempt in 0..ATTEMPT_COUNT {
        if attempt > 0 {
            std::thread::sleep(ATTEMPT_PAUSE);
        }
        if !paths.is_empty() {
            match hand_over(name, &paths) {
                Ok(true) => return Start::HandedOver,
                // Somebody is there who does not take them.
                Ok(false) => return Start::Window(None),
                Err(_nobody_there) => {}
            }
        }
        // Between a start's taking the name and its listening it cannot be told from one that was killed.
        match listen(name, attempt > ATTEMPT_COUNT / 2) {
            Ok(incoming) => return Start::Window(Some(incoming)),
            // Another start was quicker: it is the window, unless it has ended meanwhile.
            Err(_taken) if !paths.is_empty() => {}
            Err(_taken) => return Start::Window(None),
        }
    }
    Start::Window(None)
}

/// Whether the running window took the files. An error: nobody listens.
fn hand_over(name: &str, paths: &[PathBuf]) -> io::Result<bool> {
    // A path that is no Unicode text cannot be written as JSON.
    let Ok(mut line) = serde_json::to_vec(paths) else { return Ok(false) };
    line.push(b'\n');
    if u64::try_from(line.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Ok(false);
    }
    let stream = Stream::connect(socket_name(name)?)?;
    let (send, answer) = channel();
    // A window that hangs must not make this start hang; the thread ends with the process.
    std::thread::Builder::new().name("hand over files".to_owned()).spawn(move || {
        drop(send.send(send_line(stream, &line)));
    })?;
    Ok(matches!(answer.recv_timeout(ANSWER_TIMEOUT), Ok(Ok(true))))
}

fn send_line(stream: Stream, line: &[u8]) -> io::Result<bool> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(line)?;
    stream.get_mut().flush()?;
    let mut answer = String::new();
    stream.take(64).read_line(&mut answer)?;
    Ok(answer == ACCEPTED)
}

/// Takes the name; an error when another process has it. A Unix socket stays behind when its process is killed: that one
/// is taken over when nobody answered for long enough.
fn listen(name: &str, is_deserted: bool) -> io::Result<Incoming> {
    let is_deserted = is_deserted && Stream::connect(socket_name(name)?).is_err();
    let listener = ListenerOptions::new().name(socket_name(name)?).try_overwrite(is_deserted).create_sync()?;
    let (send, paths) = channel();
    let window = Arc::new(OnceLock::<egui::Context>::new());
    let to_wake = Arc::clone(&window);
    std::thread::Builder::new().name("files of other starts".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever sends no list of files gets no answer.
            drop(receive(stream, &send));
            if let Some(ctx) = to_wake.get() {
                ctx.request_repaint();
            }
        }
    })?;
    Ok(Incoming { paths, window })
}

fn receive(stream: Stream, send: &Sender<Vec<PathBuf>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.by_ref().take(MOST_BYTES).read_line(&mut line)?;
    let paths: Vec<PathBuf> = serde_json::from_str(&line)?;
    if send.send(paths).is_ok() {
        stream.get_mut().write_all(ACCEPTED.as_bytes())?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

/// A name that no other user of the machine has, nor the same user in another session.
pub fn name_of_this_user() -> String {
    let words = ["USERDOMAIN", "USERNAME", "SESSIONNAME"].map(|variable| std::env::var(variable).unwrap_or_default());
    let plain = |word: &String| -> String { word.chars().filter(char::is_ascii_alphanumeric).collect() };
    let words: Vec<String> = words.iter().map(plain).filter(|word| !word.is_empty()).collect();
    format!("dumptrend-{}", words.join("-"))
}

#[cfg(windows)]
fn socket_name(name: &str) -> io::Result<Name<'_>> {
    name.to_ns_name::<interprocess::local_socket::GenericNamespaced>()
}

/// In the folder that only this user can open; a name that is a whole path stands for itself.
#[cfg(not(windows))]
fn socket_name(name: &str) -> io::Result<Name<'static>> {
    let own = PathBuf::from(name);
    let path = if own.is_absolute() {
        own
    } else {
        let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let Some(folder) = folder else { return Err(io::Error::other("the system names no folder for sockets")) };
        folder.join(name)
    };
    path.to_fs_name::<interprocess::local_socket::GenericFilePath>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On Windows names are global; elsewhere an absolute name replaces the folder.
    fn free_name(folder: &tempfile::TempDir) -> String {
        let path = folder.path().join("socket").display().to_string();
        if cfg!(windows) { path.replace(['\\', ':'], "-") } else { path }
    }

    fn window(start: Start) -> Incoming {
        match start {
            Start::Window(Some(incoming)) => incoming,
            Start::Window(None) => panic!("nobody can reach the window"),
            Start::HandedOver => panic!("there was a window already"),
        }
    }

    fn wait_for_paths(incoming: &Incoming) -> Vec<PathBuf> {
        incoming.paths.recv_timeout(Duration::from_secs(20)).expect("files come")
    }

    #[test]
    fn the_first_start_is_the_window_and_gets_the_files_of_the_second() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = free_name(&folder);
        let first = folder.path().join("größer als\nvorher.dmp");
        let incoming = window(hand_over_or_listen(&name, std::slice::from_ref(&first)));
        assert!(incoming.poll().is_empty(), "its own files are opened by the start itself");
        assert!(matches!(hand_over_or_listen(&name, std::slice::from_ref(&first)), Start::HandedOver));
        assert_eq!(wait_for_paths(&incoming), [first]);
    }

    #[test]
    fn a_start_without_files_leaves_the_running_window_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = free_name(&folder);
        let incoming = window(hand_over_or_listen(&name, &[]));
        assert!(matches!(hand_over_or_listen(&name, &[]), Start::Window(None)));
        assert!(incoming.poll().is_empty());
    }

    #[test]
    fn of_many_starts_at_once_one_is_the_window_and_no_file_is_lost() {
        const START_COUNT: usize = 8;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = free_name(&folder);
        let file = |index: usize| folder.path().join(format!("{index}.dmp"));
        let starts: Vec<(usize, Start)> = std::thread::scope(|scope| {
            let start = |index| (index, hand_over_or_listen(&name, &[file(index)]));
            let threads: Vec<_> = (0..START_COUNT).map(|index| scope.spawn(move || start(index))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no start panics")).collect()
        });
        let mut windows = Vec::new();
        let mut handed_over_count = 0;
        for (index, start) in starts {
            match start {
                Start::HandedOver => handed_over_count += 1,
                Start::Window(incoming) => windows.push((index, incoming)),
            }
        }
        assert_eq!(windows.len(), 1, "windows: {:?}", windows.iter().map(|(index, _)| index).collect::<Vec<_>>());
        assert_eq!(handed_over_count, START_COUNT - 1);
        let (own, incoming) = windows.pop().expect("one window");
        let incoming = incoming.expect("others reach it");
        let mut files = vec![file(own)];
        files.extend((1..START_COUNT).flat_map(|_| wait_for_paths(&incoming)));
        files.sort();
        assert_eq!(files, (0..START_COUNT).map(file).collect::<Vec<_>>());
    }

    #[test]
    fn nonsense_is_not_taken_for_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = free_name(&folder);
        let incoming = window(hand_over_or_listen(&name, &[]));
        let stream = Stream::connect(socket_name(&name).expect("a name")).expect("the window listens");
        assert!(!send_line(stream, b"{ \"paths\": 7 }\n").unwrap_or(false));
        let file = folder.path().join("a.dmp");
        assert!(matches!(hand_over_or_listen(&name, std::slice::from_ref(&file)), Start::HandedOver));
        assert_eq!(wait_for_paths(&incoming), [file]);
    }
}
