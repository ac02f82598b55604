//! The addresses in the bytes of a stack, and their two hashes: Windows' own sum, and ours for looking stacks up.
//!
//! Ours has a key of its own in each run of the program, so that no dump can aim at it.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use crate::base::addr::PointerWidth;

fn key() -> u64 {
    static KEY: OnceLock<u64> = OnceLock::new();
    *KEY.get_or_init(|| std::collections::hash_map::RandomState::new().hash_one("stacks"))
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    let half = |shift: u32| u64::try_from(product.wrapping_shr(shift) & u128::from(u64::MAX)).unwrap_or(0);
    half(0) ^ half(64)
}

/// Frames are hashed as 64-bit words whatever their width, so that a stack is found by its addresses alone.
#[inline]
fn hash_of(mut words: impl Iterator<Item = u64>) -> u64 {
    let key = key();
    let other_key = key.rotate_left(23) ^ 0x9e37_79b9_7f4a_7c15;
    // Two chains, so that one multiplication need not wait for the other.
    let (mut first, mut second) = (key, other_key);
    let mut count: u64 = 0;
    while let Some(word) = words.next() {
        let [b, c, d] = [words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
        first = fold(word ^ other_key, b ^ first);
        second = fold(c ^ key, d ^ second);
        count = count.wrapping_add(1);
    }
    let hash = first ^ second.rotate_left(32);
    fold(hash ^ count, key | 1)
}

/// Our own hash of the addresses in the bytes of a stack.
#[inline]
pub(super) fn hash_bytes(frames: &[u8], width: PointerWidth) -> u64 {
    match width {
        PointerWidth::Bits64 => hash_of(words64(frames)),
        PointerWidth::Bits32 => hash_of(words32(frames)),
    }
}

/// The sum of the low dwords of the addresses, which Windows hashes stacks by. It is the low dword of their sum.
#[inline]
pub(super) fn sum_of(frames: &[u8], width: PointerWidth) -> u32 {
    match width {
        PointerWidth::Bits64 => low_dword(words64(frames).fold(0, u64::wrapping_add)),
        PointerWidth::Bits32 => low_dword(words32(frames).fold(0, u64::wrapping_add)),
    }
}

/// The addresses in the bytes of a stack.
pub(super) fn words(frames: &[u8], width: PointerWidth) -> impl Iterator<Item = u64> {
    let (wide, narrow): (&[u8], &[u8]) = match width {
        PointerWidth::Bits64 => (frames, &[]),
        PointerWidth::Bits32 => (&[], frames),
    };
    words64(wide).chain(words32(narrow))
}

fn words64(frames: &[u8]) -> impl Iterator<Item = u64> {
    frames.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

fn words32(frames: &[u8]) -> impl Iterator<Item = u64> {
    frames.as_chunks::<4>().0.iter().map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
}

fn low_dword(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0)
}
