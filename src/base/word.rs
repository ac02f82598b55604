//! Names out of the program's own tables, as they come back from a file.
//!
//! A table's names are `&'static str`. Read from a file they are kept once for the life of the program: few enough to be kept,
//! and a file that has more of them is not one of ours.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::addr::Va;

/// A name of a table. An alias, because `serde` would take a written `&'static str` for one that is borrowed from the file.
pub type Word = &'static str;

/// All tables together have some dozen.
const MOST_WORDS: usize = 1024;
const LONGEST_WORD_BYTES: usize = 200;

static WORDS: Mutex<BTreeSet<Word>> = Mutex::new(BTreeSet::new());

fn keep(text: &str) -> Option<Word> {
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = words.get(text) {
        return Some(known);
    }
    if words.len() >= MOST_WORDS || text.len() > LONGEST_WORD_BYTES {
        return None;
    }
    let word: Word = Box::leak(text.to_owned().into_boxed_str());
    words.insert(word);
    Some(word)
}

fn word<E: Error>(text: &str) -> Result<Word, E> {
    keep(text).ok_or_else(|| E::custom("a name that no table of this program has"))
}

/// One word, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// When there are more words, or longer ones, than all tables can have.
pub fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Word, D::Error> {
    word(&String::deserialize(source)?)
}

/// A list of words.
///
/// # Errors
/// As [`deserialize`].
pub fn deserialize_list<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Word>, D::Error> {
    Vec::<String>::deserialize(source)?.iter().map(|text| word(text)).collect()
}

/// A list of places with their words.
///
/// # Errors
/// As [`deserialize`].
pub fn deserialize_places<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<(Va, Word)>, D::Error> {
    Vec::<(Va, String)>::deserialize(source)?.iter().map(|(va, text)| Ok((*va, word(text)?))).collect()
}
