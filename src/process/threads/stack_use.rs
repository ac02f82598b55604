//! How much of its stack a thread uses.

use crate::base::addr::Va;

use super::teb::Teb;

/// A thread's stack in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackUse {
    /// From the stack pointer to StackBase; `None` where the thread is on another stack, a fiber's for instance.
    pub used_bytes: Option<u64>,
    /// From StackLimit to StackBase: what it has used at most, in whole pages.
    pub committed_bytes: u64,
    pub reserved_bytes: u64,
}

impl StackUse {
    /// `sp` is the stack pointer in the stack that the TEB describes, where it is known. `None` when the TEB's bounds
    /// contradict each other.
    pub fn of(teb: &Teb, sp: Option<Va>) -> Option<Self> {
        let stack = teb.stack?;
        // With nothing on it the stack pointer is StackBase.
        let is_inside = |sp: &Va| stack.contains(*sp) || *sp == stack.end;
        Some(Self {
            used_bytes: sp.filter(is_inside).and_then(|sp| stack.end.offset_from(sp)),
            committed_bytes: stack.end.offset_from(teb.stack_limit)?,
            reserved_bytes: stack.size_bytes(),
        })
    }

    /// The used part of the reservation in tenths of a percent.
    pub fn used_permille(&self) -> Option<u64> {
        self.used_bytes?.checked_mul(1000)?.checked_div(self.reserved_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::addr::{PointerWidth, VaRange};

    fn teb(stack: Option<VaRange>) -> Teb {
        Teb {
            base: Va(0x7000),
            width: PointerWidth::Bits64,
            tid: 1,
            peb: Va(0),
            last_error: None,
            stack_limit: Va(0x1c_0000),
            stack,
        }
    }

    #[test]
    fn the_stack_pointer_tells_how_much_is_used() {
        let teb = teb(VaRange::new(Va(0x10_0000), Va(0x20_0000)));
        let used = |sp: u64| StackUse::of(&teb, Some(Va(sp))).map(|used| (used.used_bytes, used.used_permille()));
        assert_eq!(used(0x1e_0000), Some((Some(0x2_0000), Some(125))));
        assert_eq!(used(0x10_0000), Some((Some(0x10_0000), Some(1000))));
        assert_eq!(used(0x20_0000), Some((Some(0), Some(0))));
        assert_eq!(used(0x20_0008), Some((None, None)), "another stack");
        let whole = StackUse::of(&teb, None).expect("bounds");
        assert_eq!((whole.used_bytes, whole.committed_bytes, whole.reserved_bytes), (None, 0x4_0000, 0x10_0000));
        assert_eq!(StackUse::of(&self::teb(None), Some(Va(0x1e_0000))), None);
    }
}
