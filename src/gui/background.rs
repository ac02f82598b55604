//! A value that takes long to derive: made on a thread, the newest request wins, the older value is shown meanwhile.

use std::sync::mpsc::{Receiver, channel};

use eframe::egui;

/// A derived value with the key it was derived for.
pub struct Background<K, V> {
    value: Option<(K, V)>,
    pending: Option<(K, Receiver<V>)>,
}

impl<K, V> Default for Background<K, V> {
    fn default() -> Self {
        Self { value: None, pending: None }
    }
}

impl<K: Clone + PartialEq, V: Send + 'static> Background<K, V> {
    /// The value for `key`, or the latest one while that is being made; `None` before the first is there. Work for an
    /// outdated key runs to its end and is thrown away.
    pub fn get(&mut self, ctx: &egui::Context, key: &K, compute: impl FnOnce() -> V + Send + 'static) -> Option<&V> {
        if let Some((pending_key, receiver)) = &self.pending {
            match receiver.try_recv() {
                Ok(value) => {
                    self.value = Some((pending_key.clone(), value));
                    self.pending = None;
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
                Err(std::sync::mpsc::TryRecvError::Disconnected) => self.pending = None,
            }
        }
        let is_current = self.value.as_ref().is_some_and(|(known, _)| known == key);
        let is_coming = self.pending.as_ref().is_some_and(|(pending, _)| pending == key);
        if !is_current && !is_coming {
            self.start(ctx, key, compute);
        }
        self.value.as_ref().map(|(_, value)| value)
    }

    /// The value for `key`, made at once when it is not there.
    pub fn get_now(&mut self, key: &K, compute: impl FnOnce() -> V) -> &V {
        let known = self.value.take().filter(|(known, _)| known == key);
        &self.value.insert(known.unwrap_or_else(|| (key.clone(), compute()))).1
    }

    fn start(&mut self, ctx: &egui::Context, key: &K, compute: impl FnOnce() -> V + Send + 'static) {
        let (send, receiver) = channel();
        let ctx = ctx.clone();
        let started = std::thread::Builder::new().name("derive a view".to_owned()).spawn(move || {
            // The receiver is gone when a newer request came.
            drop(send.send(compute()));
            ctx.request_repaint();
        });
        if started.is_ok() {
            self.pending = Some((key.clone(), receiver));
        }
    }
}
