//! The bars around the current view.

pub mod dump_list;
pub mod help;
pub mod menu;
pub mod status;
