//! CPU times of a thread as `!runaway` counts them.

use serde::{Deserialize, Serialize};

use crate::base::time::UtcTime;
use crate::input::dump::threads::ThreadInfoRecord;

/// User, kernel and elapsed time. A part that the dump does not know is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CpuTimes {
    pub user_ns: Option<u64>,
    pub kernel_ns: Option<u64>,
    pub elapsed_ns: Option<u64>,
}

/// Elapsed time runs from the thread's creation to its end, or to the time in the dump's header, which has whole seconds.
pub fn cpu_times(info: &ThreadInfoRecord, dump_time: Option<UtcTime>) -> CpuTimes {
    if info.has_invalid_info() {
        return CpuTimes::default();
    }
    let end = if info.has_exited() { info.exited } else { dump_time };
    let elapsed_ns = end.zip(info.created).and_then(|(end, created)| u64::try_from(end.ns_since(created)).ok());
    CpuTimes { user_ns: Some(info.user_ns), kernel_ns: Some(info.kernel_ns), elapsed_ns }
}
