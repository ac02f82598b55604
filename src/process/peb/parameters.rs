//! `_RTL_USER_PROCESS_PARAMETERS`: paths, command line, environment. Offsets are the same from Windows XP to 11 but for
//! EnvironmentSize, which Vista added.

use serde::{Deserialize, Serialize};

use crate::base::addr::{PointerWidth, Va};
use crate::base::bytes;
use crate::base::memory::{self, ReadMemory};
use crate::base::printable::printable;

/// UNICODE_STRING lengths are 16 bits, so this bounds every string but the environment.
const MAX_ENVIRONMENT_BYTES: u64 = 1 << 20;
/// Strings in the block are addresses; without this flag, which only a process that just starts lacks, they are offsets.
const NORMALIZED: u32 = 1;

/// What the process was started with. Absent strings are `None`, empty ones empty.
///
/// A case capsule leaves out what may hold a secret: passwords are given in command lines and environments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessParameters {
    pub at: Va,
    pub image_path: Option<String>,
    #[serde(skip)]
    pub command_line: Option<String>,
    #[serde(skip)]
    pub current_directory: Option<String>,
    #[serde(skip)]
    pub window_title: Option<String>,
    pub environment_at: Va,
    /// `NAME=value`, in the order of the block; `None` when the block is not in the dump.
    #[serde(skip)]
    pub environment: Option<Vec<String>>,
}

struct Layout {
    current_directory: u64,
    image_path: u64,
    command_line: u64,
    environment: u64,
    window_title: u64,
    /// Vista and later.
    environment_size: u64,
    string_buffer: u64,
}

const BITS32: Layout = Layout {
    current_directory: 0x24,
    image_path: 0x38,
    command_line: 0x40,
    environment: 0x48,
    window_title: 0x70,
    environment_size: 0x290,
    string_buffer: 4,
};

const BITS64: Layout = Layout {
    current_directory: 0x38,
    image_path: 0x60,
    command_line: 0x70,
    environment: 0x80,
    window_title: 0xb0,
    environment_size: 0x3f0,
    string_buffer: 8,
};

/// The fields of `_RTL_USER_PROCESS_PARAMETERS` that are read, by Windows' names, for checking them: structure, field, offset.
pub fn named_fields(width: PointerWidth) -> Vec<(&'static str, &'static str, u64)> {
    let layout = match width {
        PointerWidth::Bits32 => &BITS32,
        PointerWidth::Bits64 => &BITS64,
    };
    let fields = [
        ("CurrentDirectory", layout.current_directory),
        ("ImagePathName", layout.image_path),
        ("CommandLine", layout.command_line),
        ("Environment", layout.environment),
        ("WindowTitle", layout.window_title),
        ("EnvironmentSize", layout.environment_size),
    ];
    fields.into_iter().map(|(field, offset)| ("_RTL_USER_PROCESS_PARAMETERS", field, offset)).collect()
}

/// Reads the block at `at`; `None` when it is not in the dump.
pub fn read_parameters(memory: &dyn ReadMemory, at: Va, width: PointerWidth) -> Option<ProcessParameters> {
    let layout = match width {
        PointerWidth::Bits32 => &BITS32,
        PointerWidth::Bits64 => &BITS64,
    };
    let flags = memory::u32_at(memory, at.checked_add(8)?)?;
    let text = |offset: u64| read_unicode_string(memory, at, offset, flags, layout, width);
    let environment_at = memory::pointer_at(memory, at.checked_add(layout.environment)?, width)?;
    // Length says whether the block reaches EnvironmentSize: it does not before Vista.
    let block_bytes = memory::u32_at(memory, at.checked_add(4)?)?;
    let stated_bytes = if u64::from(block_bytes) >= layout.environment_size.saturating_add(width.bytes()) {
        memory::pointer_at(memory, at.checked_add(layout.environment_size)?, width).map(|size| size.0)
    } else {
        None
    };
    Some(ProcessParameters {
        at,
        image_path: text(layout.image_path),
        command_line: text(layout.command_line),
        current_directory: text(layout.current_directory),
        window_title: text(layout.window_title),
        environment_at,
        environment: read_environment(memory, environment_at, stated_bytes),
    })
}

fn read_unicode_string(
    memory: &dyn ReadMemory,
    block: Va,
    offset: u64,
    flags: u32,
    layout: &Layout,
    width: PointerWidth,
) -> Option<String> {
    let at = block.checked_add(offset)?;
    let length_bytes = u64::from(memory::u16_at(memory, at)?);
    let buffer = memory::pointer_at(memory, at.checked_add(layout.string_buffer)?, width)?;
    let buffer = if flags & NORMALIZED == 0 { block.checked_add(buffer.0)? } else { buffer };
    if length_bytes == 0 {
        return Some(String::new());
    }
    Some(printable(&bytes::utf16_text(memory::slice_at(memory, buffer, length_bytes)?)))
}

/// Variables up to the empty one that ends the block, or as far as the dump goes.
fn read_environment(memory: &dyn ReadMemory, at: Va, stated_bytes: Option<u64>) -> Option<Vec<String>> {
    let most_bytes = stated_bytes.filter(|size| *size > 0).unwrap_or(MAX_ENVIRONMENT_BYTES).min(MAX_ENVIRONMENT_BYTES);
    let block = memory.bytes_at(at, most_bytes);
    if block.len() < 4 {
        return None;
    }
    let mut variables = Vec::new();
    let mut rest = block;
    loop {
        let end = rest.chunks_exact(2).position(|unit| unit == [0, 0]);
        let Some(units) = end.filter(|units| *units > 0) else { return Some(variables) };
        let text_bytes = units.saturating_mul(2);
        variables.push(printable(&bytes::utf16_text(rest.get(..text_bytes).unwrap_or_default())));
        rest = rest.get(text_bytes.saturating_add(2)..).unwrap_or_default();
    }
}
