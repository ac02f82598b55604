//! All integration tests in one binary, which links quicker than one each.

mod architecture;
mod dump;
mod support;
