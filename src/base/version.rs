//! The program's version, as it is shown everywhere.

/// Version and short commit id, `0.1.0 (0123456789)`; without the id where the build knew none. Set by build.rs.
pub const VERSION: &str = env!("DUMPTREND_VERSION");
