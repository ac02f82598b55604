//! Writes the input format of the trace stores' fuzz targets; fuzz/README.md describes it.

/// The parts of one input, in the order in which they are added.
#[derive(Clone, Default)]
pub struct ProcessImage {
    parts: Vec<(u8, u64, u64)>,
    contents: Vec<u8>,
}

impl ProcessImage {
    /// A private read-write allocation.
    pub fn allocation(self, start: u64, size_bytes: u64) -> Self {
        self.part(0, start, size_bytes)
    }

    pub fn module(self, start: u64, size_bytes: u64) -> Self {
        self.part(1, start, size_bytes)
    }

    /// Memory that the dump has.
    pub fn memory(mut self, start: u64, bytes: &[u8]) -> Self {
        self.contents.extend_from_slice(bytes);
        self.part(2, start, bytes.len() as u64)
    }

    /// One of ntdll's pointer variables: 0 and 1 lead to a database, 2 and 3 to a log; even ones are the 64-bit ntdll's.
    pub fn pointer_variable(self, which: u64, value: u64) -> Self {
        self.part(3, value, which)
    }

    fn part(mut self, kind: u8, start: u64, size_bytes: u64) -> Self {
        self.parts.push((kind, start, size_bytes));
        self
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::try_from(self.parts.len()).expect("few parts")];
        for (kind, start, size_bytes) in &self.parts {
            bytes.push(*kind);
            for value in [start, size_bytes] {
                bytes.extend(u32::try_from(*value).expect("below 4 GB").to_le_bytes());
            }
        }
        bytes.extend_from_slice(&self.contents);
        bytes
    }
}
