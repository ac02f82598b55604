//! Where the fields of a type lie, from a PDB's type stream: what decoders of ntdll's structures can take instead of tables
//! of their own, where the PDB of that very build is at hand.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pdb2::{FallibleIterator, TypeData, TypeFinder, TypeIndex};

use crate::base::progress::{Cancelled, Progress};

use super::deep_stack::on_deep_stack;
use super::pdb::{Ended, PdbError, flatten, open_checked};
use super::pdb_id::PdbId;

/// A type with its fields. Fields of an unnamed union or struct inside lie side by side with the others, as compilers write
/// them; fields of base classes are not among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeLayout {
    pub name: String,
    pub size_bytes: u64,
    /// From the name to the offset in bytes. Of a bit field that of the unit that it is in.
    pub fields: BTreeMap<String, u64>,
}

impl TypeLayout {
    pub fn offset_of(&self, field: &str) -> Option<u64> {
        self.fields.get(field).copied()
    }
}

/// Lists of fields continue in others; more than this is a circle.
const MOST_LISTS: usize = 256;
/// How often a cancel is looked for, in types.
const TYPES_PER_CHECK: u32 = 1 << 14;

/// Reads the layouts of the named structs, classes and unions from a PDB that must have the id `wanted`, by name. A type that
/// the PDB only declares, or whose fields cannot be read, is not among them; of several definitions the first is.
///
/// # Errors
/// The outer one only when cancelled, the inner one says why the file gives nothing.
pub fn read_type_layouts(
    bytes: &[u8],
    wanted: PdbId,
    names: &[&str],
    progress: &Progress,
) -> Result<Result<BTreeMap<String, TypeLayout>, PdbError>, Cancelled> {
    flatten(on_deep_stack(|| match catch_unwind(AssertUnwindSafe(|| read(bytes, wanted, names, progress))) {
        Ok(read) => read,
        Err(_) => Err(Ended::Unreadable(PdbError::Damaged("its types cannot be read".to_owned()))),
    }))
}

fn read(
    bytes: &[u8],
    wanted: PdbId,
    names: &[&str],
    progress: &Progress,
) -> Result<BTreeMap<String, TypeLayout>, Ended> {
    progress.check()?;
    let mut pdb = open_checked(bytes, wanted)?;
    let types = pdb.type_information()?;
    let mut finder = types.finder();
    let mut found = BTreeMap::new();
    let mut seen_count: u32 = 0;
    let mut all = types.iter();
    // A list of fields stands before the type that has it, so one pass is enough.
    while found.len() < names.len()
        && let Some(item) = all.next()?
    {
        finder.update(&all);
        seen_count = seen_count.wrapping_add(1);
        if seen_count.is_multiple_of(TYPES_PER_CHECK) {
            progress.check()?;
        }
        if !is_struct_record(item.raw_kind()) {
            continue;
        }
        let Ok(data) = item.parse() else { continue };
        let (name, size_bytes, fields) = match &data {
            TypeData::Class(class) if !class.properties.forward_reference() => (&class.name, class.size, class.fields),
            TypeData::Union(union) if !union.properties.forward_reference() => {
                (&union.name, union.size, Some(union.fields))
            }
            _ => continue,
        };
        let name = name.to_string();
        if !names.contains(&name.as_ref()) || found.contains_key(name.as_ref()) {
            continue;
        }
        let Some(fields) = fields.map_or(Some(BTreeMap::new()), |list| fields_of(&finder, list)) else { continue };
        found.insert(name.clone().into_owned(), TypeLayout { name: name.into_owned(), size_bytes, fields });
    }
    Ok(found)
}

/// LF_STRUCTURE and its like, with names that end in a NUL and (`_ST`) that begin with their length: cvinfo.h of Microsoft's
/// published PDB code.
const fn is_struct_record(kind: u16) -> bool {
    const LF_CLASS_ST: u16 = 0x1004;
    const LF_STRUCTURE_ST: u16 = 0x1005;
    const LF_UNION_ST: u16 = 0x1006;
    const LF_CLASS: u16 = 0x1504;
    const LF_STRUCTURE: u16 = 0x1505;
    const LF_UNION: u16 = 0x1506;
    matches!(kind, LF_CLASS_ST | LF_STRUCTURE_ST | LF_UNION_ST | LF_CLASS | LF_STRUCTURE | LF_UNION)
}

fn fields_of(finder: &TypeFinder<'_>, first: TypeIndex) -> Option<BTreeMap<String, u64>> {
    let mut fields = BTreeMap::new();
    let mut next = Some(first);
    for _ in 0..MOST_LISTS {
        let Some(list) = next else { return Some(fields) };
        let TypeData::FieldList(list) = finder.find(list).ok()?.parse().ok()? else { return None };
        for field in &list.fields {
            if let TypeData::Member(member) = field {
                fields.insert(member.name.to_string().into_owned(), member.offset);
            }
        }
        next = list.continuation;
    }
    None
}
