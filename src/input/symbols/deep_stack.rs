//! Work on a thread of its own, for what other people's code does with hostile input: names nest as deeply as they are long,
//! which a worker's stack of 2 MB does not bear, and a decoder that we use may panic.

use std::io;
use std::thread::Builder;

/// 4096 characters of a name nest at most that deeply, each level some kilobytes. Only what is used takes memory.
const STACK_BYTES: usize = 128 << 20;

/// Why the work has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("made dumptrend fail while reading it, please report this")]
    Panicked,
    #[error("cannot be read: no thread for it: {0}")]
    NoThread(#[from] io::Error),
}

/// Runs `work` on a deep stack and waits for it. A panic there is an answer here.
pub(super) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Stopped> {
    std::thread::scope(|scope| {
        let thread = Builder::new().name("symbols".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, work)?;
        thread.join().map_err(|panic| {
            drop(panic);
            Stopped::Panicked
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_there_is_an_answer_here() {
        assert!(matches!(on_deep_stack(|| 1), Ok(1)));
        assert!(matches!(on_deep_stack(|| assert_eq!(1, 2, "on purpose")), Err(Stopped::Panicked)));
    }
}
