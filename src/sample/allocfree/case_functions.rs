//! The functions of the case and where they lie, so that its addresses get its names.
//!
//! RVAs follow from the case's `dps` listing (address less offset less image base); those of functions that it does not give an
//! address of are free places. No export of the sample lies between a function here and the addresses that resolve to it.

/// A function that stands in a stack of the case: name, RVA, size, bytes that its prologue takes from the stack.
pub type Framed = (&'static str, u32, u32, u32);

pub const NTDLL_FRAMED: [Framed; 6] = [
    ("RtlUserThreadStart", 0x2_c524, 0x30, 0x28),
    ("RtlAllocateHeap", 0x5_336c, 0x1b0, 0x88),
    ("RtlpAllocateHeap", 0x5_dd85, 0x3a00, 0x2f8),
    ("RtlpStdLogCapturedStackTrace", 0x9_8000, 0x400, 0x58),
    ("RtlStdLogStackTrace", 0x9_8420, 0x100, 0x138),
    ("RtlLogStackBackTraceEx", 0x9_8540, 0x90, 0x48),
];

pub const NTDLL_DATA: [(&str, u32); 3] =
    [("RtlpStackTraceDatabase", 0x12_f700), ("RtlpLFHKey", 0x13_7780), ("RtlpDisableBreakOnFailureCookie", 0x13_7a10)];

pub const KERNEL32_FRAMED: [Framed; 1] = [("BaseThreadInitThunk", 0x1_59e0, 0x20, 0x28)];

pub const ALLOCFREE_FRAMED: [Framed; 6] = [
    ("foo20", 0x1000, 0x30, 0x28),
    ("wmain", 0x1290, 0x60, 0x38),
    ("_heap_alloc", 0x1310, 0x50, 0x28),
    ("malloc", 0x1370, 0xa0, 0x38),
    ("__tmainCRTStartup", 0x1428, 0x170, 0x58),
    ("free", 0x1640, 0x40, 0x28),
];

pub const ALLOCFREE_PLAIN: [(&str, u32); 7] = [
    ("wmainCRTStartup", 0x15a0),
    ("_callnewh", 0x1690),
    ("exit", 0x1780),
    ("_initterm", 0x1900),
    ("__security_init_cookie", 0x1d00),
    ("_RTC_Initialize", 0x2100),
    ("memset", 0x2600),
];
