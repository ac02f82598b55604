//! The one thing that is selected, and the way back to what was selected before.

use crate::base::addr::Va;
use crate::base::ids::{DumpIdx, LogIdx};

use super::tab::Tab;

/// What can be selected. All views highlight from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Item {
    Dump(DumpIdx),
    Region { dump: DumpIdx, start: Va },
    Log(LogIdx),
    Thread { dump: DumpIdx, tid: u32 },
}

impl Item {
    /// The dump that the item is in; a log is in none.
    pub const fn dump(self) -> Option<DumpIdx> {
        match self {
            Self::Dump(dump) | Self::Region { dump, .. } | Self::Thread { dump, .. } => Some(dump),
            Self::Log(_) => None,
        }
    }
}

/// Where the user is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub tab: Tab,
    pub item: Option<Item>,
}

/// Places visited, with the present one among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    places: Vec<Place>,
    at: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { places: vec![Place { tab: Tab::default(), item: None }], at: 0 }
    }
}

impl History {
    const MOST_PLACES: usize = 200;

    /// A history with one place and no way back.
    pub fn starting_at(place: Place) -> Self {
        Self { places: vec![place], at: 0 }
    }

    pub fn place(&self) -> Place {
        self.places.get(self.at).copied().unwrap_or(Place { tab: Tab::default(), item: None })
    }

    /// Goes to a new place; what lay ahead is forgotten.
    pub fn go(&mut self, place: Place) {
        if place == self.place() {
            return;
        }
        self.places.truncate(self.at + 1);
        self.places.push(place);
        if self.places.len() > Self::MOST_PLACES {
            self.places.remove(0);
        }
        self.at = self.places.len() - 1;
    }

    pub fn back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    pub fn forward(&mut self) {
        self.at = (self.at + 1).min(self.places.len() - 1);
    }

    pub const fn can_go_back(&self) -> bool {
        self.at > 0
    }

    pub fn can_go_forward(&self) -> bool {
        self.at + 1 < self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_and_forward_walk_the_same_places() {
        let mut history = History::default();
        let regions = Place { tab: Tab::Regions, item: Some(Item::Dump(DumpIdx(1))) };
        history.go(regions);
        history.go(regions);
        history.back();
        assert_eq!(history.place().tab, Tab::Overview);
        assert!(!history.can_go_back());
        history.forward();
        assert_eq!(history.place(), regions);
        assert!(!history.can_go_forward());
    }
}
