//! Which PDB belongs to which image: a GUID, or a time stamp before 2002, and an age.

use std::fmt;

use crate::input::dump::modules::PdbReference;

/// The identity of a PDB, as an image names it. Shown as a symbol store names its folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PdbId {
    pub build: PdbBuild,
    /// How often the PDB was written before the image was linked.
    pub age: u32,
}

/// What a linker gives a PDB when it is new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PdbBuild {
    /// Its 32 hexadecimal digits, in the order of a symbol store, as one number.
    Guid(u128),
    Signature(u32),
}

impl PdbId {
    /// From the id that a module's CodeView record gives.
    pub fn of(reference: &PdbReference) -> Option<Self> {
        Self::parse(&reference.store_id)
    }

    /// Reads the name of a folder in a symbol store.
    pub fn parse(store_id: &str) -> Option<Self> {
        const GUID_DIGITS: usize = 32;
        const SIGNATURE_DIGITS: usize = 8;
        if !store_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let age = |digits: &str| u32::from_str_radix(digits, 16).ok();
        if let Some((guid, rest)) = store_id.split_at_checked(GUID_DIGITS).filter(|(_, rest)| !rest.is_empty()) {
            return Some(Self { build: PdbBuild::Guid(u128::from_str_radix(guid, 16).ok()?), age: age(rest)? });
        }
        let (signature, rest) = store_id.split_at_checked(SIGNATURE_DIGITS)?;
        let signature = u32::from_str_radix(signature, 16).ok()?;
        Some(Self { build: PdbBuild::Signature(signature), age: age(rest)? })
    }
}

impl fmt::Display for PdbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:X}", self.build, self.age)
    }
}

impl fmt::Display for PdbBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guid(guid) => write!(f, "{guid:032X}"),
            Self::Signature(signature) => write!(f, "{signature:08X}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_folders_of_a_store() {
        for text in
            ["3249D99D0C4049318610F4E4FB0B69361", "00000000000000000000000000000001FFFFFFFF", "4A5BDFDB1", "4A5BDFDB2A"]
        {
            assert_eq!(PdbId::parse(text).map(|id| id.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "1",
            "4A5BDFDB",
            "3249D99D0C4049318610F4E4FB0B6936",
            "+249D99D0C4049318610F4E4FB0B69361",
            "../../../etc",
        ] {
            assert_eq!(PdbId::parse(text), None, "{text}");
        }
    }
}
