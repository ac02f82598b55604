//! System info, misc info and the exception: the single records, read by the minidump crate.

use minidump::{Endian, MinidumpException, MinidumpMiscInfo, MinidumpStream, MinidumpSystemInfo, RawMiscInfo};

use serde::{Deserialize, Serialize};

use crate::base::addr::{FileOffset, PointerWidth, Va};
use crate::base::bytes;
use crate::base::printable::printable;
use crate::base::problems::Problems;
use crate::base::time::UtcTime;

use super::lists::Texts;
use super::stream_kind::StreamKind;
use super::threads::ContextPlace;

/// What the dump says of the processor that it describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Architecture {
    X86,
    X64,
    Arm,
    Arm64,
    /// PROCESSOR_ARCHITECTURE_* of another value.
    Unknown(u16),
}

impl Architecture {
    const fn from_raw(raw: u16) -> Self {
        match raw {
            0 => Self::X86,
            5 => Self::Arm,
            9 => Self::X64,
            // 0x8003 is breakpad's number from before Windows had one.
            12 | 0x8003 => Self::Arm64,
            _ => Self::Unknown(raw),
        }
    }

    pub const fn pointer_width(self) -> PointerWidth {
        match self {
            Self::X86 | Self::Arm => PointerWidth::Bits32,
            Self::X64 | Self::Arm64 | Self::Unknown(_) => PointerWidth::Bits64,
        }
    }

    /// As in the JSON report and in WinDbg's banner.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::X64 => "x64",
            Self::Arm => "arm",
            Self::Arm64 => "arm64",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// The system that the process ran on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SystemInfo {
    pub architecture: Architecture,
    pub processor_count: u8,
    pub product_type: u8,
    pub major: u32,
    pub minor: u32,
    pub build: u32,
    /// VER_PLATFORM_WIN32_NT is 2; values from 0x8000 on are breakpad's for other systems.
    pub platform_id: u32,
    pub service_pack: Option<String>,
}

impl SystemInfo {
    /// `None` for Windows; else the name of the other system.
    pub fn other_system(&self) -> Option<String> {
        Some(
            match self.platform_id {
                0..=3 => return None,
                0x8101 => "macOS",
                0x8102 => "iOS",
                0x8201 => "Linux",
                0x8202 => "Solaris",
                0x8203 => "Android",
                0x8204 => "PlayStation 3",
                0x8205 => "Native Client",
                0x8206 => "Fuchsia",
                other => return Some(format!("an unknown system (platform id {other:#x})")),
            }
            .to_owned(),
        )
    }

    /// `6.1.7601`.
    pub fn version_text(&self) -> String {
        format!("{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// What the misc info stream has; each part only in dumps whose version and flags carry it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MiscInfo {
    pub pid: Option<u32>,
    pub process_created: Option<UtcTime>,
    pub process_user_seconds: Option<u32>,
    pub process_kernel_seconds: Option<u32>,
    /// The integrity level's RID, for instance 0x2000 for medium.
    pub integrity_level: Option<u32>,
    pub protected_process: Option<u32>,
    /// Minutes that local time lay behind UTC when the dump was written: TIME_ZONE_INFORMATION's bias, and that of the half
    /// of the year that TimeZoneId names.
    pub time_zone_bias_minutes: Option<i32>,
    pub build_string: Option<String>,
    pub debugger_build_string: Option<String>,
    pub process_cookie: Option<u32>,
}

/// Why the dump was written, when it was for an exception.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExceptionRecord {
    pub tid: u32,
    pub code: u32,
    pub flags: u32,
    pub address: Va,
    pub parameters: Vec<u64>,
    pub context: ContextPlace,
}

pub fn read_system_info(stream: &[u8], texts: &Texts<'_>, problems: &mut Problems) -> Option<SystemInfo> {
    // The crate gets no file to read the service pack from: it would copy a string of any length.
    let read = MinidumpSystemInfo::read(stream, &[], Endian::Little, None);
    let raw = match read {
        Ok(info) => info.raw,
        Err(error) => {
            problems.damage(StreamKind::SYSTEM_INFO.to_string(), format!("{error}; the Windows version is not known"));
            return None;
        }
    };
    Some(SystemInfo {
        architecture: Architecture::from_raw(raw.processor_architecture),
        processor_count: raw.number_of_processors,
        product_type: raw.product_type,
        major: raw.major_version,
        minor: raw.minor_version,
        build: raw.build_number,
        platform_id: raw.platform_id,
        service_pack: texts.string_at(u64::from(raw.csd_version_rva)).filter(|text| !text.is_empty()),
    })
}

pub fn read_misc_info(stream: &[u8], problems: &mut Problems) -> Option<MiscInfo> {
    let raw = match MinidumpMiscInfo::read(stream, &[], Endian::Little, None) {
        Ok(info) => info.raw,
        Err(error) => {
            problems.damage(StreamKind::MISC_INFO.to_string(), format!("{error}; pid and process times are not known"));
            return None;
        }
    };
    Some(MiscInfo {
        pid: raw.process_id().copied(),
        process_created: raw.process_create_time().copied().and_then(UtcTime::from_unix_seconds),
        process_user_seconds: raw.process_user_time().copied(),
        process_kernel_seconds: raw.process_kernel_time().copied(),
        integrity_level: raw.process_integrity_level().copied(),
        protected_process: raw.protected_process().copied(),
        time_zone_bias_minutes: bias_minutes(&raw),
        build_string: raw.build_string().and_then(|units| text_of(units)),
        debugger_build_string: raw.dbg_bld_str().and_then(|units| text_of(units)),
        process_cookie: process_cookie(&raw),
    })
}

fn bias_minutes(raw: &RawMiscInfo) -> Option<i32> {
    // TIME_ZONE_ID_STANDARD and TIME_ZONE_ID_DAYLIGHT; 0 is a zone without change-over.
    let zone = raw.time_zone()?;
    let of_season = match raw.time_zone_id().copied().unwrap_or(0) {
        1 => zone.standard_bias,
        2 => zone.daylight_bias,
        _ => 0,
    };
    zone.bias.checked_add(of_season)
}

fn process_cookie(raw: &RawMiscInfo) -> Option<u32> {
    raw.process_cookie().copied()
}

fn text_of(units: &[u16]) -> Option<String> {
    let text: String = char::decode_utf16(units.iter().copied().take_while(|unit| *unit != 0))
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    (!text.is_empty()).then(|| printable(&text))
}

pub fn read_exception(stream: &[u8], problems: &mut Problems) -> Option<ExceptionRecord> {
    let raw = match MinidumpException::read(stream, &[], Endian::Little, None) {
        Ok(exception) => exception.raw,
        Err(error) => {
            problems.damage(StreamKind::EXCEPTION.to_string(), format!("{error}; the exception is left out"));
            return None;
        }
    };
    let record = raw.exception_record;
    let parameter_count = usize::try_from(record.number_parameters).unwrap_or(usize::MAX);
    Some(ExceptionRecord {
        tid: raw.thread_id,
        code: record.exception_code,
        flags: record.exception_flags,
        address: Va(record.exception_address),
        parameters: record.exception_information.iter().copied().take(parameter_count).collect(),
        context: ContextPlace {
            offset: FileOffset(u64::from(raw.thread_context.rva)),
            size_bytes: u64::from(raw.thread_context.data_size),
        },
    })
}

/// A comment stream: `CommentStreamA` in the writer's code page (shown as UTF-8), `CommentStreamW` in UTF-16.
pub fn read_comment(stream: &[u8], kind: StreamKind) -> Option<String> {
    const MAX_UTF16_BYTES: u64 = 2 * crate::base::printable::MAX_TEXT_CHARS as u64;
    let text = if kind == StreamKind::COMMENT_W {
        let stream = bytes::available_at(stream, 0, MAX_UTF16_BYTES);
        bytes::utf16_text_to_nul(stream).lines().map(printable).collect::<Vec<_>>().join("\n")
    } else {
        let head = bytes::available_at(stream, 0, crate::base::printable::MAX_TEXT_CHARS as u64);
        let text = head.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).lines().map(printable).collect::<Vec<_>>().join("\n")
    };
    (!text.is_empty()).then_some(text)
}
