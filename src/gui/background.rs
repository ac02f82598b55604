//! A value that takes long to derive: made on a thread, the newest request wins, the older value is shown meanwhile.

use std::sync::mpsc::{Receiver, channel};

use eframe::egui;

use crate::base::progress::{Cancelled, Progress};

/// A derived value with the key it was derived for.
pub struct Background<K, V> {
    value: Option<(K, V)>,
    pending: Option<Pending<K, V>>,
}

struct Pending<K, V> {
    key: K,
    progress: Progress,
    receiver: Receiver<V>,
}

impl<K, V> Drop for Pending<K, V> {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        self.progress.cancel();
    }
}

impl<K, V> Default for Background<K, V> {
    fn default() -> Self {
        Self { value: None, pending: None }
    }
}

impl<K: Clone + PartialEq, V: Send + 'static> Background<K, V> {
    /// The value for `key`, or the latest one while that is being made; `None` before the first is there. Work for an
    /// outdated key is cancelled.
    pub fn get(
        &mut self,
        ctx: &egui::Context,
        key: &K,
        compute: impl FnOnce(&Progress) -> Result<V, Cancelled> + Send + 'static,
    ) -> Option<&V> {
        if let Some(pending) = &self.pending {
            match pending.receiver.try_recv() {
                Ok(value) => {
                    self.value = Some((pending.key.clone(), value));
                    self.pending = None;
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
                Err(std::sync::mpsc::TryRecvError::Disconnected) => self.pending = None,
            }
        }
        let is_current = self.value.as_ref().is_some_and(|(known, _)| known == key);
        let is_coming = self.pending.as_ref().is_some_and(|pending| pending.key == *key);
        if is_current {
            self.pending = None;
        } else if !is_coming {
            self.start(ctx, key, compute);
        }
        self.value.as_ref().map(|(_, value)| value)
    }

    /// As `get`, but `None` while the value is for another key.
    pub fn get_current(
        &mut self,
        ctx: &egui::Context,
        key: &K,
        compute: impl FnOnce(&Progress) -> Result<V, Cancelled> + Send + 'static,
    ) -> Option<&V> {
        self.get(ctx, key, compute);
        self.value.as_ref().filter(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The value for `key`, made at once when it is not there.
    pub fn get_now(&mut self, key: &K, compute: impl FnOnce() -> V) -> &V {
        let known = self.value.take().filter(|(known, _)| known == key);
        &self.value.insert(known.unwrap_or_else(|| (key.clone(), compute()))).1
    }

    fn start(
        &mut self,
        ctx: &egui::Context,
        key: &K,
        compute: impl FnOnce(&Progress) -> Result<V, Cancelled> + Send + 'static,
    ) {
        let (send, receiver) = channel();
        let (ctx, progress) = (ctx.clone(), Progress::default());
        let shared = progress.clone();
        let started = std::thread::Builder::new().name("derive a view".to_owned()).spawn(move || {
            if let Ok(value) = compute(&shared) {
                // The receiver is gone when a newer request came.
                drop(send.send(value));
            }
            ctx.request_repaint();
        });
        if started.is_ok() {
            self.pending = Some(Pending { key: key.clone(), progress, receiver });
        }
    }
}
