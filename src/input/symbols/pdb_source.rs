//! The bytes of a PDB as the reader of its format takes them: each stream is copied out of the mapped file when it is read,
//! since the reader's views may outlive what they come from.
//!
//! A damaged file may say that its streams are larger than itself, or name one page a million times. **Invariant:** one
//! stream is never larger than the file, and all together are read only a few times over.

use std::io::{Error, ErrorKind};

use pdb2::{Source, SourceSlice, SourceView};

use crate::base::bytes;

/// How often the whole file may be read: its streams are each read once, the directory a few times.
const MOST_READS: u64 = 8;
/// Files of a few pages read the page of their header more often than that.
const LEAST_BUDGET_BYTES: u64 = 1 << 20;

/// A mapped PDB.
#[derive(Debug)]
pub(super) struct PdbBytes<'a> {
    bytes: &'a [u8],
    budget_bytes: u64,
}

impl<'a> PdbBytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let budget_bytes = (bytes.len() as u64).saturating_mul(MOST_READS).saturating_add(LEAST_BUDGET_BYTES);
        Self { bytes, budget_bytes }
    }
}

/// One stream.
#[derive(Debug)]
struct View(Vec<u8>);

impl SourceView<'_> for View {
    fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Source<'a> for PdbBytes<'a> {
    fn view(&mut self, slices: &[SourceSlice]) -> Result<Box<dyn SourceView<'a> + Send + Sync>, Error> {
        let end_of_file = || Error::new(ErrorKind::UnexpectedEof, "the file ends before its streams do");
        let size_bytes = slices.iter().fold(0_u64, |sum, slice| sum.saturating_add(slice.size as u64));
        if size_bytes > self.bytes.len() as u64 {
            return Err(end_of_file());
        }
        self.budget_bytes = self
            .budget_bytes
            .checked_sub(size_bytes)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "its streams are the same pages again and again"))?;
        let part =
            |slice: &SourceSlice| bytes::slice_at(self.bytes, slice.offset, slice.size as u64).ok_or_else(end_of_file);
        let mut joined = Vec::new();
        for slice in slices {
            joined.extend_from_slice(part(slice)?);
        }
        Ok(Box::new(View(joined)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_larger_than_the_file_are_refused() {
        let bytes = [7; 100];
        let slice = |offset, size| SourceSlice { offset, size };
        let mut source = PdbBytes::new(&bytes);
        assert_eq!(source.view(&[slice(10, 5), slice(0, 5)]).expect("inside").as_slice(), [7; 10]);
        assert_eq!(source.view(&[]).expect("nothing").as_slice().len(), 0);
        for slices in
            [&[slice(99, 2)][..], &[slice(0, 60), slice(0, 60)], &[slice(u64::MAX, 1)], &[slice(0, usize::MAX); 2]]
        {
            assert!(source.view(slices).is_err(), "{slices:?}");
        }
    }
}
