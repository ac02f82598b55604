//! Work on threads for the window: started, watched, cancelled, and its result fetched. Knows no toolkit.
//!
//! **Invariant:** a job that panics becomes [`Finished::Panicked`]; it never takes the window with it.

#[cfg(all(windows, feature = "gui"))]
pub mod elevated;
pub mod open_series;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use crate::base::progress::{Cancelled, Progress, ProgressView};

/// Told when a job ends, so that the window looks.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Names one job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct JobId(u64);

/// How a job ended.
#[derive(Debug)]
pub enum Finished<T> {
    Done(T),
    Cancelled,
    Panicked(String),
}

/// The jobs that run now, all with one kind of result.
pub struct Jobs<T> {
    waker: Waker,
    running: Vec<Running<T>>,
    next_id: u64,
}

struct Running<T> {
    id: JobId,
    title: String,
    progress: Progress,
    result: Receiver<Finished<T>>,
}

/// What the status bar shows of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobView {
    pub id: JobId,
    pub title: String,
    pub progress: ProgressView,
}

impl<T: Send + 'static> Jobs<T> {
    pub const fn new(waker: Waker) -> Self {
        Self { waker, running: Vec::new(), next_id: 0 }
    }

    /// Starts work on a thread of its own. When the system gives no thread, that is the job's result.
    pub fn start(
        &mut self,
        title: impl Into<String>,
        work: impl FnOnce(&Progress) -> Result<T, Cancelled> + Send + 'static,
    ) -> JobId {
        let (id, title, progress) = (JobId(self.next_id), title.into(), Progress::default());
        self.next_id += 1;
        let (send, result) = channel();
        let (waker, shared) = (Arc::clone(&self.waker), progress.clone());
        let failed = send.clone();
        let started = std::thread::Builder::new().name(title.clone()).spawn(move || {
            let finished = match catch_unwind(AssertUnwindSafe(|| work(&shared))) {
                Ok(Ok(value)) => Finished::Done(value),
                Ok(Err(Cancelled)) => Finished::Cancelled,
                Err(panic) => Finished::Panicked(panic_text(panic.as_ref())),
            };
            // Nobody listens any more when the window was closed.
            drop(send.send(finished));
            waker();
        });
        if let Err(error) = started {
            drop(failed.send(Finished::Panicked(error.to_string())));
        }
        self.running.push(Running { id, title, progress, result });
        id
    }

    pub fn cancel(&self, id: JobId) {
        if let Some(job) = self.running.iter().find(|job| job.id == id) {
            job.progress.cancel();
        }
    }

    pub fn cancel_all(&self) {
        for job in &self.running {
            job.progress.cancel();
        }
    }

    /// The jobs that ended since the last call, with their titles.
    pub fn drain(&mut self) -> Vec<(JobId, String, Finished<T>)> {
        let mut ended = Vec::new();
        self.running.retain(|job| match job.result.try_recv() {
            Ok(finished) => {
                ended.push((job.id, job.title.clone(), finished));
                false
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Disconnected) => {
                ended.push((job.id, job.title.clone(), Finished::Cancelled));
                false
            }
        });
        ended
    }

    pub fn views(&self) -> Vec<JobView> {
        self.running
            .iter()
            .map(|job| JobView { id: job.id, title: job.title.clone(), progress: job.progress.view() })
            .collect()
    }

    pub const fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

/// What a panic says.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result_of(work: impl FnOnce(&Progress) -> Result<u32, Cancelled> + Send + 'static) -> Finished<u32> {
        let (send, woken) = channel();
        let mut jobs = Jobs::new(Arc::new(move || send.send(()).expect("the test listens")));
        jobs.start("test", work);
        woken.recv().expect("the job wakes the window");
        let mut ended = jobs.drain();
        assert!(jobs.is_idle());
        ended.pop().expect("one job ended").2
    }

    #[test]
    fn a_job_gives_its_value() {
        assert!(matches!(result_of(|_| Ok(7)), Finished::Done(7)));
    }

    #[test]
    fn a_panic_is_a_result() {
        let finished = result_of(|_| panic!("on purpose"));
        assert!(matches!(finished, Finished::Panicked(text) if text == "on purpose"));
    }

    #[test]
    fn a_cancelled_job_ends_at_its_next_tick() {
        let finished = result_of(|progress| {
            progress.cancel();
            progress.tick(1).map(|()| 1)
        });
        assert!(matches!(finished, Finished::Cancelled));
    }
}
