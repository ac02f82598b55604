//! The address space as a strip: committed memory in proportion, gaps and large reservations drawn short.
//!
//! A 64-bit address space is almost all free, and a browser reserves terabytes of what is not, so the strip is not to
//! scale: free and reserved stretches take a width that grows with the logarithm of their size, and committed memory
//! shares the rest in proportion to its size.

use crate::base::addr::VaRange;
use crate::process::regions::usage::Usage;
use crate::process::regions::{AddressSpace, State};

/// One rectangle; `left` and `right` are in 0..1 of the strip's width.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stripe {
    pub left: f32,
    pub right: f32,
    pub range: VaRange,
    pub kind: StripeKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StripeKind {
    Committed(Usage),
    Reserved(Usage),
    Gap,
}

/// Stripes narrower than this cannot be seen or hit; neighbours are joined until they reach it.
const LEAST_WIDTH: f64 = 1.0 / 4096.0;
/// How much of the strip free and reserved memory may take together.
const EMPTY_SHARE: f64 = 0.35;
/// Free and reserved stretches below this keep their proportion.
const LEAST_EMPTY_BYTES: u64 = 1 << 20;

/// Lays out the strip, or the part of it that shows `window`. The number of stripes is bounded by the width of a screen,
/// not by the number of regions.
pub fn stripes(space: &AddressSpace, window: Option<VaRange>) -> Vec<Stripe> {
    let shown = |range: VaRange| window.map_or(Some(range), |window| range.intersection(window));
    let pieces: Vec<(VaRange, StripeKind)> = space
        .regions
        .iter()
        .filter_map(|region| {
            let kind = match region.state {
                State::Commit => StripeKind::Committed(region.usage),
                State::Reserve => StripeKind::Reserved(region.usage),
                State::Free => StripeKind::Gap,
            };
            Some((shown(region.range)?, kind))
        })
        .collect();
    let pieces = without_outer_gaps(&pieces);
    let is_short = |(range, kind): &(VaRange, StripeKind)| {
        !matches!(kind, StripeKind::Committed(_)) && range.size_bytes() >= LEAST_EMPTY_BYTES
    };
    let short_weight = |range: VaRange| (range.size_bytes() as f64 / LEAST_EMPTY_BYTES as f64).log2() + 1.0;
    let short_total: f64 = pieces.iter().filter(|piece| is_short(piece)).map(|(range, _)| short_weight(*range)).sum();
    let full_total: f64 =
        pieces.iter().filter(|piece| !is_short(piece)).map(|(range, _)| range.size_bytes() as f64).sum();
    let short_share = match (short_total > 0.0, full_total > 0.0) {
        (true, true) => EMPTY_SHARE,
        (true, false) => 1.0,
        (false, _) => 0.0,
    };
    let width_of = |piece: &(VaRange, StripeKind)| {
        if is_short(piece) {
            short_weight(piece.0) / short_total * short_share
        } else {
            piece.0.size_bytes() as f64 / full_total * (1.0 - short_share)
        }
    };
    let mut joiner = Joiner::default();
    for piece in pieces {
        joiner.add(*piece, width_of(piece));
    }
    joiner.finish()
}

/// Free memory before the first and behind the last region says nothing.
fn without_outer_gaps(pieces: &[(VaRange, StripeKind)]) -> &[(VaRange, StripeKind)] {
    let is_busy = |(_, kind): &(VaRange, StripeKind)| *kind != StripeKind::Gap;
    let first = pieces.iter().position(is_busy).unwrap_or(0);
    let end = pieces.iter().rposition(is_busy).map_or(pieces.len(), |last| last + 1);
    pieces.get(first..end).unwrap_or_default()
}

/// Joins pieces that are too narrow; of those joined, the widest gives the kind.
#[derive(Default)]
struct Joiner {
    stripes: Vec<Stripe>,
    at: f64,
    pending: Option<Pending>,
}

struct Pending {
    left: f64,
    range: VaRange,
    kind: StripeKind,
    widest: f64,
}

impl Joiner {
    fn add(&mut self, (range, kind): (VaRange, StripeKind), width: f64) {
        let left = self.at;
        self.at += width;
        let continues = self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.kind == kind && width < LEAST_WIDTH || left - pending.left < LEAST_WIDTH);
        match &mut self.pending {
            Some(pending) if continues => {
                pending.range.end = range.end;
                if width > pending.widest {
                    (pending.widest, pending.kind) = (width, kind);
                }
            }
            _ => {
                self.flush(left);
                self.pending = Some(Pending { left, range, kind, widest: width });
            }
        }
    }

    fn flush(&mut self, right: f64) {
        if let Some(pending) = self.pending.take() {
            self.stripes.push(Stripe {
                left: pending.left as f32,
                right: right as f32,
                range: pending.range,
                kind: pending.kind,
            });
        }
    }

    fn finish(mut self) -> Vec<Stripe> {
        let end = self.at;
        self.flush(end);
        self.stripes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::Va;
    use crate::base::problems::Problems;
    use crate::input::dump::memory_info::MemoryInfoRecord;
    use crate::process::regions::claims::ClaimMap;
    use crate::process::regions::map::map_from_memory_info;

    /// Start, size and state of each region.
    fn space(regions: &[(u64, u64, u32)]) -> AddressSpace {
        let records: Vec<MemoryInfoRecord> = regions
            .iter()
            .map(|(base, size_bytes, state)| MemoryInfoRecord {
                base: Va(*base),
                allocation_base: Va(*base),
                allocation_protect: 4,
                size_bytes: *size_bytes,
                state: *state,
                protect: 4,
                memory_type: 0x2_0000,
            })
            .collect();
        map_from_memory_info(&records, true, &[], &ClaimMap::default(), &[], &mut Problems::default())
    }

    #[test]
    fn a_terabyte_of_reservation_leaves_room_for_what_is_committed() {
        let stripes = stripes(&space(&[(0x10000, 1 << 40, 0x2000), (0x200_0000_0000, 0x10000, 0x1000)]), None);
        let committed = stripes.iter().find(|stripe| matches!(stripe.kind, StripeKind::Committed(_)));
        let committed = committed.expect("the committed region has its stripe");
        assert!(committed.right - committed.left > 0.5, "{stripes:?}");
    }

    #[test]
    fn stripes_are_bounded_by_the_screen_and_cover_it_without_overlap() {
        let regions: Vec<(u64, u64, u32)> =
            (0..50_000_u64).map(|n| (0x10000 + n * 0x1000, 0x1000, if n % 2 == 0 { 0x1000 } else { 0x2000 })).collect();
        let stripes = stripes(&space(&regions), None);
        assert!(stripes.len() <= 4097, "{}", stripes.len());
        assert!(stripes.windows(2).all(|pair| pair[0].right <= pair[1].left + 1e-6));
        assert!((stripes.last().expect("stripes").right - 1.0).abs() < 1e-3);
    }
}
