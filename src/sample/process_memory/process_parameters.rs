//! RTL_USER_PROCESS_PARAMETERS with its texts and the environment block behind it.

use super::loader_data::put_unicode_string;
use super::windows::Windows;
use crate::base::addr::Va;
use crate::sample::le_bytes::{LeBytes, utf16_bytes};

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

/// [`process_parameters_of`] Windows 7 x64.
pub fn process_parameters(base: Va, texts: &ParameterTexts) -> Vec<u8> {
    process_parameters_of(Windows::SevenX64, base, texts)
}

/// The bytes of the parameters when they begin at `base`.
pub fn process_parameters_of(windows: Windows, base: Va, texts: &ParameterTexts) -> Vec<u8> {
    let width = windows.width();
    let mut bytes = LeBytes::zeroed(structure_bytes(windows));
    let places = [
        (0x24, 0x38, &texts.current_directory),
        (0x30, 0x50, &texts.dll_path),
        (0x38, 0x60, &texts.image_path),
        (0x40, 0x70, &texts.command_line),
        (0x70, 0xb0, &texts.window_title),
        (0x78, 0xc0, &texts.desktop),
    ];
    for (narrow, wide, text) in places {
        let units = utf16_bytes(text);
        let buffer = Va(base.0 + bytes.len() as u64);
        bytes.push(&units).push_u16(0);
        put_unicode_string(&mut bytes, width, windows.at(narrow, wide), units.len(), buffer);
    }
    let used = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // MaximumLength, Length, Flags: the pointers are addresses, not offsets (bit 0).
    bytes.put_u32(0, used).put_u32(4, used).put_u32(8, 0x4001);
    // Handles: console, standard input, output and error, current directory.
    for (narrow, wide, handle) in
        [(0x10, 0x10, 0x7), (0x18, 0x20, 0x3), (0x1c, 0x28, 0x7), (0x20, 0x30, 0xb), (0x2c, 0x48, 0xc)]
    {
        bytes.put_pointer(width, windows.at(narrow, wide), Va(handle));
    }
    let environment_at = bytes.align(16).len();
    for variable in &texts.environment {
        bytes.push(&utf16_bytes(variable)).push_u16(0);
    }
    bytes.push_u16(0);
    bytes.put_pointer(width, windows.at(0x48, 0x80), Va(base.0 + environment_at as u64));
    if windows != Windows::XpX86 {
        // EnvironmentSize, EnvironmentVersion.
        let environment_bytes = (bytes.len() - environment_at) as u64;
        bytes.put_pointer(width, windows.at(0x290, 0x3f0), Va(environment_bytes));
        bytes.put_pointer(width, windows.at(0x294, 0x3f8), Va(1));
    }
    bytes.into_vec()
}

/// How long the structure is; the texts follow.
const fn structure_bytes(windows: Windows) -> usize {
    match windows {
        Windows::XpX86 => 0x290,
        Windows::SevenX86 => 0x298,
        Windows::SevenX64 => 0x400,
        Windows::TenX64 => 0x440,
    }
}
