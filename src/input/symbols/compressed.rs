//! Files of a symbol store in their compressed form, `name.pd_` and `name.dl_`: a cabinet that holds one file.

use std::io::{Cursor, Read};

use super::deep_stack::on_deep_stack;

/// The largest PDBs have some gigabytes; unpacked here, a file lies in memory as a whole.
const MAX_UNPACKED_BYTES: u64 = 2 << 30;

/// Why a cabinet gives no file.
#[derive(Debug, thiserror::Error)]
#[error("cannot be unpacked: {0}")]
pub struct UnpackError(String);

/// The file in a cabinet, the first if there are several.
///
/// # Errors
/// When the bytes are no cabinet, are damaged, or give too much.
pub fn unpack(cabinet: &[u8]) -> Result<Vec<u8>, UnpackError> {
    unpack_up_to(cabinet, MAX_UNPACKED_BYTES)
}

fn unpack_up_to(cabinet: &[u8], most_bytes: u64) -> Result<Vec<u8>, UnpackError> {
    let failed = |error: std::io::Error| UnpackError(error.to_string());
    on_deep_stack(|| {
        let mut cabinet = cab::Cabinet::new(Cursor::new(cabinet)).map_err(failed)?;
        let name = cabinet.folder_entries().flat_map(cab::FolderEntry::file_entries).next();
        let name = name.ok_or_else(|| UnpackError("it holds no file".to_owned()))?.name().to_owned();
        let mut bytes = Vec::new();
        let reader = cabinet.read_file(&name).map_err(failed)?;
        reader.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > most_bytes {
            return Err(UnpackError(format!("it holds more than {most_bytes} bytes")));
        }
        Ok(bytes)
    })
    .map_err(|stopped| UnpackError(stopped.to_string()))?
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::base::bytes::available_at;

    fn cabinet(bytes: &[u8]) -> Vec<u8> {
        let mut builder = cab::CabinetBuilder::new();
        builder.add_folder(cab::CompressionType::MsZip).add_file("a.pdb");
        let mut writer = builder.build(Cursor::new(Vec::new())).expect("a cabinet");
        while let Some(mut file) = writer.next_file().expect("a file") {
            file.write_all(bytes).expect("written");
        }
        writer.finish().expect("finished").into_inner()
    }

    #[test]
    fn what_was_packed_comes_out() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(unpack(&cabinet(&bytes)).expect("unpacked"), bytes);
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        let packed = cabinet(&vec![0; 1 << 20]);
        assert!(packed.len() < 1 << 16, "{} bytes", packed.len());
        let error = unpack_up_to(&packed, 1000).expect_err("too much");
        assert_eq!(error.to_string(), "cannot be unpacked: it holds more than 1000 bytes");
    }

    #[test]
    fn damage_is_an_error() {
        let packed = cabinet(&[7; 5000]);
        assert!(unpack(b"").is_err());
        assert!(unpack(b"SZDD\x88\xf0'3A").is_err());
        for length in [4, 40, packed.len() as u64 - 1] {
            assert!(unpack(available_at(&packed, 0, length)).is_err(), "{length}");
        }
    }
}
