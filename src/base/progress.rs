//! Progress and cancel of one piece of work, shared between the worker and whoever watches it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The user stopped the work. Not an error, and never shown as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// A handle to one piece of work; clones share it. Cheap to tick from many threads.
#[derive(Clone, Default, Debug)]
pub struct Progress {
    inner: Arc<Inner>,
}

#[derive(Default, Debug)]
struct Inner {
    stage: Mutex<String>,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

/// What a watcher sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgressView {
    pub stage: String,
    pub done: u64,
    /// 0 while the amount of work is not known.
    pub total: u64,
}

impl Progress {
    /// Begins a stage of `total` steps (0 when unknown).
    pub fn start(&self, stage: impl Into<String>, total: u64) {
        if let Ok(mut text) = self.inner.stage.lock() {
            *text = stage.into();
        }
        self.inner.done.store(0, Ordering::Relaxed);
        self.inner.total.store(total, Ordering::Relaxed);
    }

    /// Says more of the stage that runs; its steps stay.
    pub fn describe(&self, stage: impl Into<String>) {
        if let Ok(mut text) = self.inner.stage.lock() {
            *text = stage.into();
        }
    }

    /// Counts `steps` as done. Call it at least every 64k items or 20 ms: this is where a cancel takes effect.
    pub fn tick(&self, steps: u64) -> Result<(), Cancelled> {
        self.inner.done.fetch_add(steps, Ordering::Relaxed);
        self.check()
    }

    pub fn check(&self) -> Result<(), Cancelled> {
        if self.inner.cancelled.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
    }

    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn view(&self) -> ProgressView {
        ProgressView {
            stage: self.inner.stage.lock().map(|text| text.clone()).unwrap_or_default(),
            done: self.inner.done.load(Ordering::Relaxed),
            total: self.inner.total.load(Ordering::Relaxed),
        }
    }
}
