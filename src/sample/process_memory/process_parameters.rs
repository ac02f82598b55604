//! RTL_USER_PROCESS_PARAMETERS with its texts and the environment block behind it.

use super::loader_data::put_unicode_string;
use crate::base::addr::Va;
use crate::sample::le_bytes::{LeBytes, utf16_bytes};

/// The structure itself, Windows 7 x64; the texts follow.
const STRUCTURE_BYTES: usize = 0x400;

/// The texts of the parameters.
#[derive(Clone, Debug, Default)]
pub struct ParameterTexts {
    pub image_path: String,
    pub command_line: String,
    pub current_directory: String,
    pub dll_path: String,
    pub window_title: String,
    pub desktop: String,
    /// `NAME=value`, in the order of the block.
    pub environment: Vec<String>,
}

/// The bytes of the parameters when they begin at `base`.
pub fn process_parameters(base: Va, texts: &ParameterTexts) -> Vec<u8> {
    let mut bytes = LeBytes::zeroed(STRUCTURE_BYTES);
    let places = [
        (0x38, &texts.current_directory),
        (0x50, &texts.dll_path),
        (0x60, &texts.image_path),
        (0x70, &texts.command_line),
        (0xb0, &texts.window_title),
        (0xc0, &texts.desktop),
    ];
    for (at, text) in places {
        let units = utf16_bytes(text);
        let buffer = Va(base.0 + bytes.len() as u64);
        bytes.push(&units).push_u16(0);
        put_unicode_string(&mut bytes, at, units.len(), buffer);
    }
    let used = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // MaximumLength, Length, Flags: the pointers are addresses, not offsets (bit 0); then console and standard handles.
    bytes.put_u32(0, used).put_u32(4, used).put_u32(8, 0x4001);
    bytes.put_u64(0x10, 0x7).put_u64(0x20, 0x3).put_u64(0x28, 0x7).put_u64(0x30, 0xb).put_u64(0x48, 0xc);

    let environment_at = bytes.align(16).len();
    for variable in &texts.environment {
        bytes.push(&utf16_bytes(variable)).push_u16(0);
    }
    bytes.push_u16(0);
    bytes.put_va(0x80, Va(base.0 + environment_at as u64));
    bytes.put_u64(0x3f0, (bytes.len() - environment_at) as u64).put_u64(0x3f8, 1);
    bytes.into_vec()
}
