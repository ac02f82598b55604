//! What was wrong with the input, where, and why. Damage is normal: decoders return what they got plus these.

use serde::{Deserialize, Serialize};

/// One partial failure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The place: a stream, an address, a module.
    pub place: String,
    /// What is wrong there, and what became of it.
    pub text: String,
    pub kind: ProblemKind,
}

/// Whether the input is damaged, or only says less than one could wish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum ProblemKind {
    /// Something is not there that a fuller dump would have. Nothing is broken.
    Missing,
    /// The bytes contradict themselves, or end too early.
    Damage,
}

impl ProblemKind {
    /// The word for it in logs and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damage => "damaged",
        }
    }
}

/// The problems of one input, in the order found, at most [`Problems::LIMIT`] of them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Problems {
    list: Vec<Problem>,
    left_out_count: u64,
}

impl Problems {
    /// A hostile file could give one problem an entry; more than this help nobody.
    pub const LIMIT: usize = 200;

    pub fn damage(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.push(Problem { place: place.into(), text: text.into(), kind: ProblemKind::Damage });
    }

    pub fn missing(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.push(Problem { place: place.into(), text: text.into(), kind: ProblemKind::Missing });
    }

    pub fn push(&mut self, problem: Problem) {
        if self.list.len() < Self::LIMIT {
            self.list.push(problem);
        } else {
            self.left_out_count = self.left_out_count.saturating_add(1);
        }
    }

    pub fn extend(&mut self, other: Self) {
        for problem in other.list {
            self.push(problem);
        }
        self.left_out_count = self.left_out_count.saturating_add(other.left_out_count);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many were found beyond those kept.
    pub const fn left_out_count(&self) -> u64 {
        self.left_out_count
    }

    pub fn has_damage(&self) -> bool {
        self.left_out_count > 0 || self.list.iter().any(|problem| problem.kind == ProblemKind::Damage)
    }
}
