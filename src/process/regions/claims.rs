//! Who owns a range: claims with a rank, made into a map without overlaps.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::addr::{Va, VaRange};

use super::usage::{Owner, Usage};

/// One statement that a range has a use. Of two that overlap, the lower rank wins; of equal ranks, the earlier claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    pub range: VaRange,
    pub usage: Usage,
    pub owner: Owner,
    pub rank: Rank,
}

/// The order of certainty, as in WinDbg's own classification: what a structure proves comes before what a pointer hints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    Peb,
    Teb,
    StackTraceDatabase,
    Stack,
    Heap,
    Image,
    PointedAt,
}

/// Claims that do not overlap, in the order of addresses.
#[derive(Clone, Debug, Default)]
pub struct ClaimMap {
    by_start: BTreeMap<Va, Claim>,
}

impl ClaimMap {
    /// Sweeps over the addresses once, so that claims made to overlap a hundred thousandfold cost no more than others.
    pub fn new(claims: Vec<Claim>) -> Self {
        let mut edges: Vec<Edge> = Vec::with_capacity(claims.len().saturating_mul(2));
        for (index, claim) in claims.iter().enumerate().filter(|(_, claim)| !claim.range.is_empty()) {
            edges.push(Edge { at: claim.range.start, begins: true, rank: claim.rank, index });
            edges.push(Edge { at: claim.range.end, begins: false, rank: claim.rank, index });
        }
        edges.sort_unstable_by_key(|edge| edge.at);
        let mut by_start: BTreeMap<Va, Claim> = BTreeMap::new();
        let mut open: BTreeSet<(Rank, usize)> = BTreeSet::new();
        let mut at = Va(0);
        for edge in edges {
            let winner = open.first().and_then(|(_, index)| claims.get(*index));
            if let (Some(claim), Some(range)) = (winner, VaRange::new(at, edge.at).filter(|range| !range.is_empty())) {
                add_or_extend(&mut by_start, Claim { range, ..*claim });
            }
            at = edge.at;
            if edge.begins {
                open.insert((edge.rank, edge.index));
            } else {
                open.remove(&(edge.rank, edge.index));
            }
        }
        Self { by_start }
    }

    /// Claims that touch a range, in order.
    pub fn overlapping(&self, range: VaRange) -> impl Iterator<Item = &Claim> {
        let before = self.by_start.range(..range.start).next_back();
        let first = before.map(|(_, claim)| claim).filter(|claim| claim.range.end > range.start);
        // An empty range touches nothing; BTreeMap would panic on a start behind the end.
        let rest = self.by_start.range(range.start..range.end.max(range.start)).map(|(_, claim)| claim);
        first.into_iter().chain(rest)
    }
}

struct Edge {
    at: Va,
    begins: bool,
    rank: Rank,
    index: usize,
}

/// Parts of one claim that lie beside each other become one again.
fn add_or_extend(by_start: &mut BTreeMap<Va, Claim>, part: Claim) {
    if let Some((_, last)) = by_start.iter_mut().next_back()
        && last.range.end == part.range.start
        && (last.usage, last.owner, last.rank) == (part.usage, part.owner, part.rank)
    {
        last.range.end = part.range.end;
        return;
    }
    by_start.insert(part.range.start, part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(start: u64, end: u64, usage: Usage, rank: Rank) -> Claim {
        Claim { range: VaRange { start: Va(start), end: Va(end) }, usage, owner: Owner::Nobody, rank }
    }

    fn check(claims: Vec<Claim>, expect: &[(u64, u64, Usage)]) {
        let map = ClaimMap::new(claims);
        let all = VaRange { start: Va(0), end: Va(u64::MAX) };
        let found: Vec<_> = map.overlapping(all).map(|c| (c.range.start.0, c.range.end.0, c.usage)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn the_more_certain_claim_splits_the_other() {
        check(
            vec![claim(0, 100, Usage::Heap, Rank::Heap), claim(40, 60, Usage::Peb, Rank::Peb)],
            &[(0, 40, Usage::Heap), (40, 60, Usage::Peb), (60, 100, Usage::Heap)],
        );
    }

    #[test]
    fn a_covered_claim_vanishes() {
        check(
            vec![claim(10, 20, Usage::Other, Rank::PointedAt), claim(0, 100, Usage::Heap, Rank::Heap)],
            &[(0, 100, Usage::Heap)],
        );
    }

    #[test]
    fn overlapping_finds_a_claim_that_starts_before() {
        let map = ClaimMap::new(vec![claim(0, 100, Usage::Heap, Rank::Heap)]);
        assert_eq!(map.overlapping(VaRange { start: Va(50), end: Va(60) }).count(), 1);
        assert_eq!(map.overlapping(VaRange { start: Va(100), end: Va(110) }).count(), 0);
    }
}
