//! Texts of several lines in files whose texts have none: as lists of lines.

use serde::{Deserialize, Deserializer, Serializer};

/// For `#[serde(with)]`.
///
/// # Errors
/// Those of the writer.
pub fn serialize<S: Serializer>(texts: &[String], target: S) -> Result<S::Ok, S::Error> {
    target.collect_seq(texts.iter().map(|text| text.lines().collect::<Vec<_>>()))
}

/// For `#[serde(with)]`.
///
/// # Errors
/// When it is no list of lists.
pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Vec<String>>::deserialize(source)?.iter().map(|lines| lines.join("\n")).collect())
}
