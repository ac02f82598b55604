//! The way to symbol servers: one file is asked for, and what comes is handed on piece by piece. The only file of the
//! program that opens connections, and only for addresses that the user named (`search`).
//!
//! A request runs on a thread of its own, which blocks; whoever waits for it looks at the clock and for a cancel all the
//! while, and leaves a request that takes too long behind: it ends by the same limits.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Error, Proxy};

use crate::base::printable::printable;
use crate::base::progress::{Cancelled, Progress};

/// How often a cancel and the clock are looked at.
const POLL: Duration = Duration::from_millis(20);
const CHUNK_BYTES: usize = 1 << 16;
/// Pieces on their way from the request's thread: it must not fill memory while a disk is slow.
const CHUNKS_ON_THE_WAY: usize = 4;

/// What a request may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerLimits {
    /// Until a connection stands: name, proxy, TLS.
    pub connect: Duration,
    /// How long nothing may come.
    pub no_progress: Duration,
    pub total: Duration,
    pub largest_bytes: u64,
    pub redirect_count: u32,
    /// How long a server that gave no answer is left alone, so that fifty modules do not wait for it fifty times.
    pub silence: Duration,
}

impl Default for ServerLimits {
    /// Chrome's PDB has 2 GB, which a slow office line brings in half an hour.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            no_progress: Duration::from_secs(20),
            total: Duration::from_secs(30 * 60),
            largest_bytes: 4 << 30,
            redirect_count: 5,
            silence: Duration::from_secs(60),
        }
    }
}

/// Whether requests go through a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProxyUse {
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say; on Windows also the system's own setting.
    #[default]
    System,
    None,
}

/// The way to servers, with what they answered; clones share it. Nothing happens before the first request.
#[derive(Clone, Debug, Default)]
pub struct SymbolServers {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    limits: ServerLimits,
    proxy: ProxyUse,
    agent: OnceLock<Agent>,
    memory: Mutex<Memory>,
    /// Files that come at the moment: name, bytes so far.
    running: Mutex<Vec<(u64, String, u64)>>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Addresses of files that a server does not have.
    missing: HashSet<String>,
    /// Servers that gave no answer: when, and why.
    silent: HashMap<String, (Instant, String)>,
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The whole file was handed on.
    File,
    NotThere,
    /// Something else came, or not all.
    Refused(String),
    /// No answer: the server need not be asked for anything more now.
    Silent(String),
}

/// What the thread of a request tells.
enum Event {
    Head { status: u16, is_page: bool, size_bytes: Option<u64> },
    Bytes(Vec<u8>),
    End,
    Failed(Answer),
}

impl SymbolServers {
    pub fn new(limits: ServerLimits, proxy: ProxyUse) -> Self {
        Self { inner: Arc::new(Inner { limits, proxy, ..Inner::default() }) }
    }

    /// Forgets what servers did not have: the user asks anew.
    pub fn forget(&self) {
        *lock(&self.inner.memory) = Memory::default();
    }

    /// Asks the server `base` for the file at `path` on it, whose name for people is `name`.
    pub(super) fn ask(
        &self,
        base: &str,
        path: &str,
        name: &str,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        progress: &Progress,
    ) -> Result<Answer, Cancelled> {
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        if let Some(known) = self.known_answer(base, &url) {
            return Ok(known);
        }
        let answer = self.request(&url, name, take, progress)?;
        let mut memory = lock(&self.inner.memory);
        match &answer {
            Answer::NotThere => {
                memory.missing.insert(url);
            }
            Answer::Silent(why) => {
                memory.silent.insert(base.to_owned(), (Instant::now(), why.clone()));
            }
            Answer::File | Answer::Refused(_) => {}
        }
        Ok(answer)
    }

    fn known_answer(&self, base: &str, url: &str) -> Option<Answer> {
        let memory = lock(&self.inner.memory);
        if memory.missing.contains(url) {
            return Some(Answer::NotThere);
        }
        let (since, why) = memory.silent.get(base)?;
        (since.elapsed() < self.inner.limits.silence).then(|| Answer::Silent(why.clone()))
    }

    fn request(
        &self,
        url: &str,
        name: &str,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        progress: &Progress,
    ) -> Result<Answer, Cancelled> {
        progress.check()?;
        let agent = self.inner.agent.get_or_init(|| agent(&self.inner.limits, self.inner.proxy)).clone();
        let (send, receive) = sync_channel(CHUNKS_ON_THE_WAY);
        let asked = url.to_owned();
        let started = Builder::new().name("symbol server".to_owned()).spawn(move || run(&agent, &asked, &send));
        if let Err(error) = started {
            return Ok(Answer::Refused(format!("cannot be asked: no thread for it: {error}")));
        }
        let shown = Shown::new(&self.inner, name, progress);
        wait(&receive, &self.inner.limits, take, &shown)
    }
}

/// A file that comes, in the status bar while it does.
struct Shown<'a> {
    inner: &'a Inner,
    id: u64,
    progress: &'a Progress,
}

impl<'a> Shown<'a> {
    fn new(inner: &'a Inner, name: &str, progress: &'a Progress) -> Self {
        let mut running = lock(&inner.running);
        let id = running.iter().map(|(id, _, _)| *id).max().map_or(0, |last| last.saturating_add(1));
        running.push((id, name.to_owned(), 0));
        drop(running);
        Self { inner, id, progress }
    }

    fn came(&self, bytes: u64) {
        let mut running = lock(&self.inner.running);
        if let Some((_, _, came_bytes)) = running.iter_mut().find(|(id, _, _)| *id == self.id) {
            *came_bytes = bytes;
        }
        let all_bytes = running.iter().fold(0_u64, |sum, (_, _, bytes)| sum.saturating_add(*bytes));
        let names: Vec<&str> = running.iter().map(|(_, name, _)| name.as_str()).collect();
        let text = match names.split_first() {
            None => return,
            Some((first, [])) => format!("downloading {first}, {}", megabytes(all_bytes)),
            Some((first, others)) => {
                format!("downloading {first} and {} more, {}", others.len(), megabytes(all_bytes))
            }
        };
        drop(running);
        self.progress.describe(text);
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.inner.running);
        running.retain(|(id, _, _)| *id != self.id);
        if running.is_empty() {
            self.progress.describe("reading symbols");
        }
    }
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// A panic elsewhere leaves names and numbers behind, nothing that could be half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn agent(limits: &ServerLimits, proxy: ProxyUse) -> Agent {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        // What the system trusts, a company's own authority included.
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let proxy = match proxy {
        ProxyUse::System => Proxy::try_from_env(),
        ProxyUse::None => None,
    };
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .http_status_as_error(false)
        .max_redirects(limits.redirect_count)
        .max_redirects_will_error(true)
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.no_progress))
        .timeout_per_read(Some(limits.no_progress))
        .timeout_per_write(Some(limits.no_progress))
        .timeout_global(Some(limits.total))
        .user_agent(concat!("dumptrend/", env!("CARGO_PKG_VERSION")))
        .build();
    config.new_agent()
}

/// One request, from beginning to end. Nobody may be listening any more, which ends it.
fn run(agent: &Agent, url: &str, send: &SyncSender<Event>) {
    let is_secure = url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    // A server that is asked over TLS must not send us on to where anybody on the way can answer.
    let called = agent.get(url).config().https_only(is_secure).build().call();
    let response = match called {
        Ok(response) => response,
        Err(error) => {
            drop(send.send(Event::Failed(answer_of(&error))));
            return;
        }
    };
    let status = response.status().as_u16();
    let is_page = response.body().mime_type().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
    let size_bytes = response.body().content_length();
    if send.send(Event::Head { status, is_page, size_bytes }).is_err() || status != 200 || is_page {
        return;
    }
    let mut body = response.into_body().into_reader();
    let mut chunk = vec![0; CHUNK_BYTES];
    let end = loop {
        match body.read(&mut chunk) {
            Ok(0) => break Event::End,
            Ok(count) => {
                let bytes = chunk.get(..count).unwrap_or_default().to_vec();
                if send.send(Event::Bytes(bytes)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Event::Failed(Answer::Refused(cut_off(&error.to_string()))),
        }
    };
    drop(send.send(end));
}

fn cut_off(why: &str) -> String {
    format!("came only in part: {}", printable(why))
}

/// Errors before there is an answer.
fn answer_of(error: &Error) -> Answer {
    let text = printable(&error.to_string());
    match error {
        Error::TooManyRedirects => Answer::Refused("it sends on and on to other addresses".to_owned()),
        Error::RequireHttpsOnly(_) => Answer::Refused("it sends on to an address without TLS".to_owned()),
        Error::BadUri(_) | Error::Http(_) => Answer::Refused(format!("the address cannot be asked: {text}")),
        Error::Protocol(_) => Answer::Refused(format!("the answer is no HTTP: {text}")),
        Error::Timeout(_) => Answer::Silent("no answer in time".to_owned()),
        Error::HostNotFound => Answer::Silent("the name of the server is not known".to_owned()),
        _ => Answer::Silent(text),
    }
}

/// Takes what the request's thread tells, until it ends or a limit is reached.
fn wait(
    receive: &Receiver<Event>,
    limits: &ServerLimits,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    shown: &Shown<'_>,
) -> Result<Answer, Cancelled> {
    let start = Instant::now();
    let mut last = start;
    let mut patience = limits.connect.saturating_add(limits.no_progress);
    let mut has_head = false;
    let mut came_bytes: u64 = 0;
    loop {
        shown.progress.check()?;
        if start.elapsed() > limits.total {
            return Ok(Answer::Refused(cut_off(&format!("it took more than {}", seconds(limits.total)))));
        }
        let event = match receive.recv_timeout(POLL) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) if last.elapsed() <= patience => continue,
            Err(RecvTimeoutError::Timeout) if has_head => {
                return Ok(Answer::Refused(cut_off(&format!("nothing came for {}", seconds(limits.no_progress)))));
            }
            Err(RecvTimeoutError::Timeout) => return Ok(Answer::Silent("no answer in time".to_owned())),
            Err(RecvTimeoutError::Disconnected) => return Ok(Answer::Refused("the request broke off".to_owned())),
        };
        last = Instant::now();
        match event {
            Event::Head { status, is_page, size_bytes } => {
                if let Some(answer) = refusal(status, is_page, size_bytes, limits) {
                    return Ok(answer);
                }
                patience = limits.no_progress;
                has_head = true;
                shown.came(0);
            }
            Event::Bytes(bytes) => {
                came_bytes = came_bytes.saturating_add(bytes.len() as u64);
                if came_bytes > limits.largest_bytes {
                    return Ok(too_large(limits));
                }
                if let Err(error) = take(&bytes) {
                    return Ok(Answer::Refused(format!("cannot be written: {error}")));
                }
                shown.came(came_bytes);
            }
            Event::End => return Ok(Answer::File),
            // A limit of the connection is one of ours.
            Event::Failed(answer) => return Ok(answer),
        }
    }
}

fn refusal(status: u16, is_page: bool, size_bytes: Option<u64>, limits: &ServerLimits) -> Option<Answer> {
    match status {
        200 if is_page => Some(Answer::Refused(
            "a web page came instead of the file: does a proxy or the server want you to sign in?".to_owned(),
        )),
        200 if size_bytes.is_some_and(|bytes| bytes > limits.largest_bytes) => Some(too_large(limits)),
        200 => None,
        404 | 410 => Some(Answer::NotThere),
        401 | 403 | 407 => Some(Answer::Refused(format!("access is denied (HTTP {status})"))),
        _ => Some(Answer::Refused(format!("the server answers with HTTP {status}"))),
    }
}

fn too_large(limits: &ServerLimits) -> Answer {
    Answer::Refused(format!("is larger than {}", megabytes(limits.largest_bytes)))
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(megabytes(0), "0.0 MB");
        assert_eq!(megabytes(5 << 19), "2.5 MB");
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5 s");
    }
}
