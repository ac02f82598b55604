//! Maps as lists of pairs in files: a key may be more than a text, and the order is always the same.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// For `#[serde(with)]`: in the order of the keys.
///
/// # Errors
/// Those of the writer.
pub fn serialize<K, V, H, S>(map: &HashMap<K, V, H>, target: S) -> Result<S::Ok, S::Error>
where
    K: Serialize + Ord,
    V: Serialize,
    S: Serializer,
{
    let mut pairs: Vec<(&K, &V)> = map.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    target.collect_seq(pairs)
}

/// For `#[serde(with)]`.
///
/// # Errors
/// When it is no list of pairs.
pub fn deserialize<'de, K, V, H, D>(source: D) -> Result<HashMap<K, V, H>, D::Error>
where
    K: Deserialize<'de> + Eq + Hash,
    V: Deserialize<'de>,
    H: BuildHasher + Default,
    D: Deserializer<'de>,
{
    Ok(Vec::<(K, V)>::deserialize(source)?.into_iter().collect())
}
