//! Symbol servers: a small one on this machine that gives what a test wants, in all the ways that can go wrong. It counts its
//! connections.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use dumptrend::base::addr::PointerWidth;
use dumptrend::base::progress::Progress;
use dumptrend::input::dump::modules::ModuleRecord;
use dumptrend::input::symbols::loader::load_symbols;
use dumptrend::input::symbols::search::{Downloads, SymbolSearch};
use dumptrend::input::symbols::server::{ProxyUse, ServerLimits, SymbolServers};
use dumptrend::input::symbols::{ModuleSymbols, SymbolQuality, SymbolTable};

use super::images::{image, module as image_module};
use super::pipeline::disguised_pdb;
use super::search::{folder, pd_};
use super::{CRASH_ID, NoMemory, attempts, crash_module, crash_pdb, load, module, only, pdb_bytes};
use crate::support::sample_series::sample_series;

/// What the server does with one address.
#[derive(Clone)]
enum Gives {
    File(Vec<u8>),
    /// Fewer bytes than the head says.
    CutOff(Vec<u8>),
    /// The head and some bytes, and then nothing for a long time.
    Stalls(Vec<u8>),
    /// Not even a head.
    Silence,
    /// A head that says so many bytes.
    Announces(u64),
    /// Bytes without end, whose number no head says.
    Endless,
    Redirect(String),
    Page(Vec<u8>),
    Status(u16),
    /// 404 after a while.
    LateNotThere,
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    Builder::new().name("symbol server of a test".to_owned()).spawn(work).expect("a thread");
}

struct Server {
    port: u16,
    /// What was asked for, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(files: &[(&str, Gives)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let files: HashMap<String, Gives> =
            files.iter().map(|(path, gives)| (format!("/sym/{path}"), gives.clone())).collect();
        let log = Arc::clone(&asked);
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, log) = (files.clone(), Arc::clone(&log));
                spawn(move || answer(stream, &files, &log));
            }
        });
        Self { port, asked }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/sym", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }

    /// The user names this server, with a store for its files.
    fn search(&self, store: &Path) -> SymbolSearch {
        let path = format!("srv*{}*{}", store.display(), self.url());
        SymbolSearch { user_folders: vec![path.into()], servers: servers(), ..SymbolSearch::default() }
    }
}

fn servers() -> SymbolServers {
    let limits = ServerLimits {
        connect: Duration::from_millis(300),
        no_progress: Duration::from_millis(300),
        total: Duration::from_secs(20),
        largest_bytes: 8 << 20,
        redirect_count: 3,
        silence: Duration::from_secs(60),
    };
    SymbolServers::new(limits, ProxyUse::None)
}

fn answer(mut stream: TcpStream, files: &HashMap<String, Gives>, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().expect("no panic").push(path.clone());
    // The other side may have gone, which it may at any time.
    drop(give(&mut stream, files.get(&path).unwrap_or(&Gives::Status(404))));
}

fn give(stream: &mut TcpStream, gives: &Gives) -> std::io::Result<()> {
    let long = Duration::from_secs(5);
    let mut head = |status: u16, length: u64, more: &str| {
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
    };
    match gives {
        Gives::File(bytes) => {
            head(200, bytes.len() as u64, "")?;
            stream.write_all(bytes)
        }
        Gives::CutOff(bytes) => {
            head(200, bytes.len() as u64, "")?;
            stream.write_all(&bytes[..bytes.len() / 2])
        }
        Gives::Stalls(bytes) => {
            head(200, bytes.len() as u64, "")?;
            stream.write_all(&bytes[..bytes.len() / 2])?;
            sleep(long);
            Ok(())
        }
        Gives::Silence => {
            sleep(long);
            Ok(())
        }
        Gives::Announces(length) => head(200, *length, ""),
        Gives::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[7; 0x1_0000])?;
            }
        }
        Gives::Redirect(to) => head(302, 0, &format!("Location: {to}\r\n")),
        Gives::Page(bytes) => {
            head(200, bytes.len() as u64, "Content-Type: text/html; charset=utf-8\r\n")?;
            stream.write_all(bytes)
        }
        Gives::LateNotThere => {
            sleep(Duration::from_millis(100));
            head(404, 0, "")
        }
        Gives::Status(status) => head(*status, 0, ""),
    }
}

fn plain() -> String {
    format!("crash.pdb/{CRASH_ID}/crash.pdb")
}

fn packed() -> String {
    format!("crash.pdb/{CRASH_ID}/crash.pd_")
}

fn pointer() -> String {
    format!("crash.pdb/{CRASH_ID}/file.ptr")
}

/// All files below a folder, by their path in it.
fn files_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let inside = path.strip_prefix(root).expect("below");
                found.push(inside.display().to_string().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// What came of the crash program's PDB where the server has these files, and what the store holds then.
fn check(files: &[(&str, Gives)], expect: impl FnOnce(&ModuleSymbols, &[String], &[String], &Server)) {
    let temp = folder();
    let store = temp.path().join("store");
    let server = Server::new(files);
    let table = load(&crash_module(), &server.search(&store));
    let lines = attempts(only(&table), temp.path());
    let lines: Vec<String> = lines.iter().map(|line| line.replace(&server.url(), "URL").replace('\\', "/")).collect();
    expect(only(&table), &lines, &files_below(temp.path()), &server);
}

/// Nothing is kept, and the reason is told.
fn check_refused(files: &[(&str, Gives)], reason: &str) {
    let start = Instant::now();
    check(files, |module, lines, kept, _| {
        assert_eq!(module.quality, SymbolQuality::None);
        assert!(lines.iter().any(|line| line.contains(reason)), "{reason}: {lines:#?}");
        assert!(module.note.contains(reason), "{}", module.note);
        assert_eq!(kept, [""; 0], "{reason}");
    });
    assert!(start.elapsed() < Duration::from_secs(2), "{reason}: {:?}", start.elapsed());
}

#[test]
fn a_pdb_comes_into_the_store_of_its_chain() {
    let Some(pdb) = crash_pdb() else { return };
    check(&[(&plain(), Gives::File(pdb.clone()))], |module, lines, kept, server| {
        assert_eq!(module.quality, SymbolQuality::Pdb, "{lines:#?}");
        assert_eq!(kept, [format!("store/{}", plain())]);
        assert_eq!(lines[0], "crash.pdb: not in store T/store");
        assert_eq!(lines[1], "crash.pdb: server URL: downloaded");
        assert_eq!(lines[2], format!("crash.pdb: used: T/store/{}", plain()));
        assert_eq!(server.asked(), [format!("/sym/{}", plain())]);
    });
}

#[test]
fn what_was_downloaded_is_found_without_the_server() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let server = Server::new(&[(&plain(), Gives::File(pdb))]);
    let search = server.search(temp.path());
    let first = load(&crash_module(), &search);
    let again = load(&crash_module(), &SymbolSearch { downloads: Downloads::NotYet, ..search });
    assert_eq!(only(&again).names(), only(&first).names());
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_compressed_pdb_is_kept_unpacked() {
    let Some(pdb) = crash_pdb() else { return };
    check(&[(&packed(), Gives::File(pd_(&pdb)))], |module, lines, kept, server| {
        assert_eq!(module.quality, SymbolQuality::Pdb, "{lines:#?}");
        assert_eq!(kept, [format!("store/{}", plain())]);
        assert_eq!(server.asked(), [format!("/sym/{}", plain()), format!("/sym/{}", packed())]);
    });
    check_refused(&[(&packed(), Gives::File(pd_(&pdb)[..5000].to_vec()))], "crash.pd_: cannot be unpacked");
}

#[test]
fn what_is_missing_is_asked_for_once() {
    let temp = folder();
    let server = Server::new(&[]);
    let search = server.search(&temp.path().join("store"));
    for _ in 0..2 {
        let table = load(&crash_module(), &search);
        assert!(only(&table).note.contains("is in none of 2 places"), "{}", only(&table).note);
        let paths = [plain(), packed(), pointer()].map(|path| format!("/sym/{path}"));
        // The image is looked for too, for its exports.
        let asked: Vec<_> = server.asked().into_iter().filter(|path| path.contains(".pdb/")).collect();
        assert_eq!(asked, paths);
    }
    assert_eq!(files_below(temp.path()), [""; 0]);
    search.servers.forget();
    load(&crash_module(), &search);
    assert_eq!(server.asked().iter().filter(|path| path.contains(".pdb/")).count(), 6);
}

#[test]
fn what_is_not_the_pdb_is_not_kept() {
    let Some(pdb) = crash_pdb() else { return };
    let Some(other) = pdb_bytes("seh-tests-x86/xcpt4.pdb") else { return };
    let page = b"<html><body>Please sign in</body></html>".to_vec();
    let path = plain();
    let is = |gives| vec![(path.as_str(), gives)];
    check_refused(&is(Gives::File(other)), "belongs to another build");
    check_refused(&is(Gives::File(pdb[..pdb.len() / 2].to_vec())), "the crash.pdb that came is damaged");
    check_refused(&is(Gives::CutOff(pdb.clone())), "crash.pdb: came only in part");
    check_refused(&is(Gives::File(Vec::new())), "the crash.pdb that came is empty");
    check_refused(&is(Gives::Page(page.clone())), "a web page came instead of the file");
    check_refused(&is(Gives::File(page)), "a web page came instead of the file");
    check_refused(&is(Gives::Status(403)), "access is denied (HTTP 403)");
    check_refused(&is(Gives::Status(500)), "the server answers with HTTP 500");
    check_refused(&is(Gives::Announces(1 << 40)), "is larger than 8.0 MB");
    check_refused(&is(Gives::Endless), "is larger than 8.0 MB");
    check_refused(&is(Gives::Redirect(format!("/sym/{path}"))), "it sends on and on to other addresses");
    check_refused(&is(Gives::Stalls(pdb)), "came only in part");
}

#[test]
fn a_store_that_cannot_be_written_says_so() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    // A file where the store should be, and one where the folder of the PDB should be.
    let blocked = [temp.path().join("store"), temp.path().join("other").join("crash.pdb")];
    for (place, store) in blocked.iter().zip(["store", "other"]) {
        super::write(place, b"in the way");
        let server = Server::new(&[(&plain(), Gives::File(pdb.clone()))]);
        let table = load(&crash_module(), &server.search(&temp.path().join(store)));
        assert_eq!(only(&table).quality, SymbolQuality::None);
        let note = &only(&table).note;
        assert!(note.contains("cannot be written: ") || note.contains("cannot be kept in "), "{note}");
        assert!(place.is_file());
    }
    assert_eq!(files_below(temp.path()), ["other/crash.pdb", "store"]);
}

#[test]
fn a_redirect_is_followed() {
    let Some(pdb) = crash_pdb() else { return };
    let files = [(&plain()[..], Gives::Redirect("/sym/elsewhere".to_owned())), ("elsewhere", Gives::File(pdb))];
    check(&files, |module, lines, _, _| assert_eq!(module.quality, SymbolQuality::Pdb, "{lines:#?}"));
}

#[test]
fn a_pointer_file_is_named() {
    let file = Gives::File(br"PATH:\\archive\sym\crash.pdb".to_vec());
    check_refused(&[(&pointer(), file)], r"file.ptr points at ");
    let temp = folder();
    super::write(&temp.path().join(pointer()), br"PATH:\\archive\sym\crash.pdb");
    let table = load(&crash_module(), &super::in_folder(temp.path()));
    assert!(only(&table).note.contains(r"file.ptr points at \\archive\sym\crash.pdb, which is not followed"));
}

#[test]
fn a_silent_server_is_left_alone() {
    let temp = folder();
    let server = Server::new(&[(&plain(), Gives::Silence)]);
    let search = server.search(temp.path());
    let start = Instant::now();
    for _ in 0..2 {
        let table = load(&crash_module(), &search);
        assert!(only(&table).note.contains("gave no answer: no answer in time"), "{}", only(&table).note);
    }
    assert_eq!(server.asked().len(), 1);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // Nobody listens on this port any more.
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let path = format!("srv*{}*http://{free}", temp.path().display());
    let search = SymbolSearch { user_folders: vec![path.into()], servers: servers(), ..SymbolSearch::default() };
    let table = load(&crash_module(), &search);
    assert!(only(&table).note.contains("gave no answer: "), "{}", only(&table).note);
}

#[test]
fn a_cancel_ends_a_download_at_once() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let server = Server::new(&[(&plain(), Gives::Stalls(pdb))]);
    let limits = ServerLimits::default();
    let search =
        SymbolSearch { servers: SymbolServers::new(limits, ProxyUse::None), ..server.search(&temp.path().join("s")) };
    let progress = Progress::default();
    let (watched, (send, cancelled)) = (progress.clone(), std::sync::mpsc::channel());
    spawn(move || {
        while !watched.view().stage.starts_with("downloading crash.pdb, 0.") {
            sleep(Duration::from_millis(5));
        }
        sleep(Duration::from_millis(100));
        watched.cancel();
        send.send(Instant::now()).expect("the test listens");
    });
    let loaded = load_symbols(&[crash_module()], &NoMemory, &search, |_| true, &progress);
    let waited = cancelled.recv().expect("a time").elapsed();
    assert!(loaded.is_err());
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    assert_eq!(files_below(temp.path()), [""; 0]);
}

#[test]
fn without_the_users_word_no_server_is_asked() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let server = Server::new(&[(&plain(), Gives::File(pdb))]);
    let by_environment = SymbolSearch {
        user_folders: Vec::new(),
        nt_symbol_path: Some(format!("srv*{}*{}", temp.path().display(), server.url())),
        ..server.search(temp.path())
    };
    let table = load(&crash_module(), &by_environment);
    assert!(only(&table).note.contains("was not asked: _NT_SYMBOL_PATH alone names it; --download"));
    let not_yet = SymbolSearch { downloads: Downloads::NotYet, ..server.search(temp.path()) };
    load(&crash_module(), &not_yet);
    // Nor for modules that nobody wants.
    let search = server.search(temp.path());
    load_symbols(&[crash_module()], &NoMemory, &search, |_| false, &Progress::default()).expect("nobody cancels");
    assert_eq!(server.asked(), [""; 0]);
    let all = SymbolSearch { downloads: Downloads::AllServers, ..by_environment };
    assert_eq!(only(&load(&crash_module(), &all)).quality, SymbolQuality::Pdb);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn hostile_names_ask_for_nothing_and_write_nothing() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let server = Server::new(&[(&plain(), Gives::File(pdb.clone()))]);
    let search = server.search(&temp.path().join("store"));
    for name in ["..", "../..", r"..\..\", "con.pdb", "a\0b", "", &"y".repeat(5000), "a:b", "a.pdb."] {
        let hostile = ModuleRecord { path: Some(name.to_owned()), ..module(name, CRASH_ID) };
        let table: SymbolTable = load(&hostile, &search);
        assert_eq!(only(&table).quality, SymbolQuality::None, "{name:?}");
    }
    load(&ModuleRecord { path: None, ..module("crash.pdb", "../../../..") }, &search);
    assert_eq!(server.asked(), [""; 0]);
    assert_eq!(files_below(temp.path()), [""; 0]);
    // What is odd in an address, but fine for a file, does not change what is asked for.
    let odd = format!("a%20b%23%26/{CRASH_ID}/a%20b%23%26");
    let server = Server::new(&[(&odd, Gives::File(pdb))]);
    let table = load(&ModuleRecord { path: None, ..module("a b#&", CRASH_ID) }, &server.search(temp.path()));
    assert_eq!(only(&table).quality, SymbolQuality::Pdb, "{:?}", only(&table).attempts);
}

#[test]
fn an_image_that_the_dump_lacks_comes_too() {
    let temp = folder();
    let bytes = image(PointerWidth::Bits64);
    let path = "small.dll/4A5BDFDB4000/small.dll";
    let server = Server::new(&[(path, Gives::File(bytes.clone()))]);
    let table = load(&image_module(), &server.search(temp.path()));
    assert_eq!(only(&table).quality, SymbolQuality::Exports, "{:?}", only(&table).attempts);
    assert_eq!(files_below(temp.path()), [path]);
    // One of another build is not kept.
    let server = Server::new(&[("small.dll/54000/small.dll", Gives::File(bytes))]);
    let other = ModuleRecord { time_date_stamp: 5, ..image_module() };
    let temp = folder();
    let table = load(&other, &server.search(temp.path()));
    assert_eq!(only(&table).quality, SymbolQuality::None);
    assert_eq!(files_below(temp.path()), [""; 0]);
}

#[test]
fn several_modules_come_at_once() {
    let Some(pdb) = crash_pdb() else { return };
    let temp = folder();
    let names: Vec<String> = (0..8).map(|index| format!("m{index}.pdb")).collect();
    let late: Vec<String> = names.iter().map(|name| format!("{name}/{CRASH_ID}/{name}")).collect();
    let mut files: Vec<(&str, Gives)> = late.iter().map(|path| (path.as_str(), Gives::LateNotThere)).collect();
    let own = plain();
    files.push((&own, Gives::File(pdb)));
    let server = Server::new(&files);
    let mut modules: Vec<ModuleRecord> = names.iter().map(|name| module(name, CRASH_ID)).collect();
    modules.push(crash_module());
    for module in &mut modules {
        module.path = None;
    }
    let search = server.search(temp.path());
    let start = Instant::now();
    let table = load_symbols(&modules, &NoMemory, &search, |_| true, &Progress::default()).expect("nobody cancels");
    let waited = start.elapsed();
    let with_pdb = table.modules().iter().filter(|module| module.quality == SymbolQuality::Pdb).count();
    assert_eq!((table.modules().len(), with_pdb), (9, 1));
    // One after the other they would take 800 ms.
    assert!(waited < Duration::from_millis(600), "{waited:?}");
}

#[test]
fn the_console_program_downloads_when_told_to() {
    let series = sample_series();
    let Some((name, pdb)) = disguised_pdb(&series.analysis, "AllocFree.exe") else { return };
    let temp = folder();
    let dump = &series.analysis.snapshots[5].dump;
    let own = dump.modules.iter().flatten().find(|module| module.file_name() == "AllocFree.exe").expect("the program");
    let id = &own.pdb.as_ref().expect("a PDB").store_id;
    let server = Server::new(&[(&format!("{name}/{id}/{name}"), Gives::File(pdb))]);
    let path = format!("srv*{}*{}", temp.path().join("store").display(), server.url());
    let run = |arguments: &[&str], environment: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dumptrend-cli"));
        command.arg("dps").arg(&dump.path).args(["188be00", "64"]).args(arguments);
        command.env("_NT_SYMBOL_PATH", environment).env("HOME", temp.path()).env_remove("XDG_CACHE_HOME");
        let output = command.env("NO_PROXY", "127.0.0.1").output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (text(output.stdout), text(output.stderr))
    };
    let by_exports = run(&[], &path).0;
    assert!(by_exports.contains("AllocFree!foo"), "{by_exports}");
    assert_eq!(server.asked(), [""; 0], "the environment alone is no word of the user");
    let (by_pdb, _) = run(&["--download"], &path);
    assert!(by_pdb.contains("AllocFree!") && !by_pdb.contains("AllocFree!foo"), "{by_pdb}");
    assert_eq!(files_below(&temp.path().join("store")), [format!("{name}/{id}/{name}")]);
    let asked_count = server.asked().len();
    assert_eq!(run(&["--symbol-path", &path], "").0, by_pdb, "from the store");
    assert!(server.asked()[asked_count..].iter().all(|path| !path.contains(&name)), "{:?}", server.asked());
    let (_, hint) = run(&["--download"], "");
    assert!(hint.contains("no symbol path names a server"), "{hint}");
}
