//! The thread environment block: stack bounds, ids, and for WOW64 threads the way to the second TEB.
//!
//! Offsets of `_NT_TIB` and `_TEB` are the same on every build from Windows XP to 11; sources: public symbols of ntoskrnl
//! for those builds and the TEBs of a real WOW64 dump of build 7601.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va, VaRange};
use crate::base::memory::{self, ReadMemory};

/// What one TEB says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Teb {
    pub base: Va,
    pub width: PointerWidth,
    pub tid: u32,
    pub peb: Va,
    /// LastErrorValue: what GetLastError would have given the thread.
    pub last_error: Option<u32>,
    /// StackLimit: the stack is committed from here on.
    pub stack_limit: Va,
    /// The stack's whole reservation; `None` when the bounds contradict each other.
    pub stack: Option<VaRange>,
}

struct Layout {
    stack_base: u64,
    stack_limit: u64,
    own_address: u64,
    unique_thread: u64,
    peb: u64,
    last_error: u64,
    deallocation_stack: u64,
}

const BITS32: Layout = Layout {
    stack_base: 0x4,
    stack_limit: 0x8,
    own_address: 0x18,
    unique_thread: 0x24,
    peb: 0x30,
    last_error: 0x34,
    deallocation_stack: 0xe0c,
};

const BITS64: Layout = Layout {
    stack_base: 0x8,
    stack_limit: 0x10,
    own_address: 0x30,
    unique_thread: 0x48,
    peb: 0x60,
    last_error: 0x68,
    deallocation_stack: 0x1478,
};

/// Far above what the linker's /STACK can ask for in practice; larger bounds come from a damaged TEB.
const MAX_STACK_BYTES: u64 = 8 << 30;

/// WowTebOffset of a 64-bit TEB, Windows 10 and later.
const WOW_TEB_OFFSET: u64 = 0x180c;

/// The fields of `_NT_TIB`, with which a `_TEB` begins, and of `_TEB` that are read, by Windows' names, for checking them:
/// structure, field, offset.
pub fn named_fields(width: PointerWidth) -> Vec<(&'static str, &'static str, u64)> {
    let layout = match width {
        PointerWidth::Bits32 => &BITS32,
        PointerWidth::Bits64 => &BITS64,
    };
    let mut fields = vec![
        ("_NT_TIB", "StackBase", layout.stack_base),
        ("_NT_TIB", "StackLimit", layout.stack_limit),
        ("_NT_TIB", "Self", layout.own_address),
        // UniqueThread is the second of its two pointers.
        ("_TEB", "ClientId", layout.unique_thread.wrapping_sub(width.bytes())),
        ("_TEB", "ProcessEnvironmentBlock", layout.peb),
        ("_TEB", "LastErrorValue", layout.last_error),
        ("_TEB", "DeallocationStack", layout.deallocation_stack),
    ];
    if width == PointerWidth::Bits64 {
        fields.push(("_TEB", "WowTebOffset", WOW_TEB_OFFSET));
    }
    fields
}

impl Teb {
    /// The pages that the structure takes: two on 64-bit (sizes from 17d8 to 1850 hexadecimal over all builds), one on
    /// 32-bit. A WOW64 thread's 32-bit TEB follows its 64-bit one by two pages, and what follows that by one page may
    /// already be the PEB (seen on build 7601). Test: `sub_ranges_split_the_region_that_holds_both_tebs`.
    pub fn range(&self) -> VaRange {
        let size_bytes = match self.width {
            PointerWidth::Bits32 => 0x1000,
            PointerWidth::Bits64 => 0x2000,
        };
        VaRange::from_size(self.base, size_bytes)
    }
}

/// Reads the TEB at `base`. `None` when it is not in the dump, or is no TEB: its Self field must hold its own address.
pub fn read_teb(memory: &dyn ReadMemory, base: Va, width: PointerWidth) -> Option<Teb> {
    let layout = match width {
        PointerWidth::Bits32 => &BITS32,
        PointerWidth::Bits64 => &BITS64,
    };
    let pointer_at = |offset: u64| memory::pointer_at(memory, base.checked_add(offset)?, width);
    if base.is_null() || pointer_at(layout.own_address)? != base {
        return None;
    }
    let (stack_base, stack_limit) = (pointer_at(layout.stack_base)?, pointer_at(layout.stack_limit)?);
    let stack = pointer_at(layout.deallocation_stack)
        .filter(|start| !start.is_null() && *start <= stack_limit && stack_limit <= stack_base)
        .and_then(|start| VaRange::new(start, stack_base))
        .filter(|stack| stack.size_bytes() <= MAX_STACK_BYTES);
    Some(Teb {
        base,
        width,
        // Thread ids fit 32 bits; the field is pointer-sized.
        tid: memory::u32_at(memory, base.checked_add(layout.unique_thread)?)?,
        peb: pointer_at(layout.peb)?,
        last_error: base.checked_add(layout.last_error).and_then(|at| memory::u32_at(memory, at)),
        stack_limit,
        stack,
    })
}

/// The 32-bit TEB of a WOW64 thread, from its 64-bit one. Its place is in the first slot, which a 64-bit thread does not
/// use (documented for Vista to 8.1; debuggers still rely on it), and in WowTebOffset from Windows 10 on; the 32-bit
/// TEB's own address proves it.
pub fn read_wow64_teb(memory: &dyn ReadMemory, teb64: &Teb) -> Option<Teb> {
    let in_first_slot = memory::u64_at(memory, teb64.base).map(Va);
    let by_offset = teb64
        .base
        .checked_add(WOW_TEB_OFFSET)
        .and_then(|at| memory::u32_at(memory, at))
        .filter(|offset| *offset > 0 && *offset < 0x10000)
        .and_then(|offset| teb64.base.checked_add(u64::from(offset)));
    [in_first_slot, by_offset]
        .into_iter()
        .flatten()
        .filter(|va| va.0 <= u64::from(u32::MAX))
        .find_map(|va| read_teb(memory, va, PointerWidth::Bits32))
        .filter(|teb32| teb32.tid == teb64.tid)
}
