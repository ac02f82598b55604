//! The symbol path of `_NT_SYMBOL_PATH` and `.sympath`: which places are searched for symbols, in order.
//!
//! Syntax: Microsoft's documentation, "Symbol path for Windows debuggers" and "Advanced SymSrv use". Keywords are known in
//! any case; an empty element is none.
//!
//! | element | places |
//! |---|---|
//! | `C:\symbols`, `\\server\share` | that folder |
//! | `srv*` | the default local store, then Microsoft's server |
//! | `srv*STORE*STORE*URL` | the stores in their order, then the server |
//! | `srv**URL`, `srv*URL` | the default local store, then the server |
//! | `symsrv*symsrv.dll*STORE*URL` | as `srv*STORE*URL` |
//! | `cache*STORE`, `cache*` | that store, the default local store; what servers further on give is kept there |
//!
//! **Invariant:** parsing opens nothing; a place appears once.

use std::path::{Path, PathBuf};

const MICROSOFT_SERVER: &str = "https://msdl.microsoft.com/download/symbols";

/// One place to look in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A folder in which files lie as they were built, or as in a store.
    Folder(PathBuf),
    /// A folder with the layout `name.pdb\GUIDAGE\name.pdb`, shared with the debuggers.
    Store(PathBuf),
    /// A symbol server.
    Server { url: String },
}

/// The places of a symbol path. `default_store` is where debuggers keep downloads when the path names no folder; without
/// one such an element has no place.
pub fn parse_symbol_path(text: &str, default_store: Option<&Path>) -> Vec<Place> {
    let mut places = Vec::new();
    for element in text.split(';') {
        // Quotation marks come with paths that were copied from a command line.
        let element = element.trim().trim_matches('"').trim();
        if !element.is_empty() {
            read_element(element, default_store, &mut places);
        }
    }
    let mut seen: Vec<Place> = Vec::new();
    for place in places {
        if !seen.contains(&place) {
            seen.push(place);
        }
    }
    seen
}

fn read_element(element: &str, default_store: Option<&Path>, places: &mut Vec<Place>) {
    let mut parts = element.split('*').map(str::trim);
    let keyword = parts.next().unwrap_or_default();
    let is_keyword = |word: &str| keyword.eq_ignore_ascii_case(word) && element.contains('*');
    if is_keyword("cache") {
        let named = parts.next().filter(|part| !part.is_empty()).map(Path::new);
        places.extend(named.or(default_store).map(|store| Place::Store(store.to_owned())));
    } else if is_keyword("srv") {
        read_chain(&parts.collect::<Vec<_>>(), default_store, places);
    } else if is_keyword("symsrv") {
        // The name of the library that asks servers: there is one way to ask them here.
        read_chain(&parts.skip(1).collect::<Vec<_>>(), default_store, places);
    } else if is_url(element) {
        places.push(Place::Server { url: element.to_owned() });
    } else {
        places.push(Place::Folder(PathBuf::from(element)));
    }
}

fn read_chain(parts: &[&str], default_store: Option<&Path>, places: &mut Vec<Place>) {
    let start = places.len();
    let mut urls = Vec::new();
    for part in parts {
        if is_url(part) {
            urls.push(Place::Server { url: (*part).to_owned() });
        } else if part.is_empty() {
            places.extend(default_store.map(|store| Place::Store(store.to_owned())));
        } else {
            places.push(Place::Store(PathBuf::from(part)));
        }
    }
    if parts.iter().all(|part| part.is_empty()) {
        urls.push(Place::Server { url: MICROSOFT_SERVER.to_owned() });
    }
    if places.len() == start {
        places.extend(default_store.map(|store| Place::Store(store.to_owned())));
    }
    places.append(&mut urls);
}

fn is_url(text: &str) -> bool {
    let starts_with = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts_with("https://") || starts_with("http://")
}

/// The effective path, as a symbol path that has the same places.
pub fn effective_path(places: &[Place]) -> String {
    let texts: Vec<String> = places
        .iter()
        .map(|place| match place {
            Place::Folder(folder) => folder.display().to_string(),
            Place::Store(folder) => format!("srv*{}", folder.display()),
            Place::Server { url } => format!("srv*{url}"),
        })
        .collect();
    texts.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the default store `D`.
    fn parsed(text: &str) -> Vec<String> {
        parse_symbol_path(text, Some(Path::new("D")))
            .iter()
            .map(|place| match place {
                Place::Folder(folder) => format!("folder {}", folder.display()),
                Place::Store(folder) => format!("store {}", folder.display()),
                Place::Server { url } => format!("server {url}"),
            })
            .collect()
    }

    #[test]
    fn documented_syntax_is_known() {
        let cases: [(&str, &[&str]); 15] = [
            ("", &[]),
            (" ;; ", &[]),
            (r"C:\symbols", &[r"folder C:\symbols"]),
            (r#""C:\my symbols""#, &[r"folder C:\my symbols"]),
            (r"\\server\share\sym;C:\b", &[r"folder \\server\share\sym", r"folder C:\b"]),
            ("srv*", &["store D", "server https://msdl.microsoft.com/download/symbols"]),
            (r"srv*C:\sym", &[r"store C:\sym"]),
            (r"SRV*C:\sym*https://x/y", &[r"store C:\sym", "server https://x/y"]),
            (r"srv*C:\a*\\s\b*HTTPS://x", &[r"store C:\a", r"store \\s\b", "server HTTPS://x"]),
            ("srv**https://x", &["store D", "server https://x"]),
            ("srv*https://x", &["store D", "server https://x"]),
            (r"symsrv*symsrv.dll*C:\a*http://x", &[r"store C:\a", "server http://x"]),
            (r"SymSrv*SymSrv.dll*\\s\a", &[r"store \\s\a"]),
            (r"cache*C:\c;srv*https://x", &[r"store C:\c", "store D", "server https://x"]),
            (r"Cache*;C:\a;;C:\a;cache*", &["store D", r"folder C:\a"]),
        ];
        for (text, places) in cases {
            assert_eq!(parsed(text), places, "{text}");
        }
    }

    #[test]
    fn a_folder_named_as_a_keyword_is_a_folder() {
        assert_eq!(parsed("cache;srv"), ["folder cache", "folder srv"]);
    }

    #[test]
    fn without_a_default_store_nothing_stands_for_it() {
        assert_eq!(parse_symbol_path("cache*;srv*https://x", None), [Place::Server { url: "https://x".to_owned() }]);
    }

    #[test]
    fn the_effective_path_has_the_same_places() {
        let text = r"C:\a;srv*C:\b*https://x;cache*";
        let places = parse_symbol_path(text, Some(Path::new("D")));
        assert_eq!(effective_path(&places), r"C:\a;srv*C:\b;srv*https://x;srv*D");
        let again = parse_symbol_path(r"C:\a;srv*C:\b;srv*D", Some(Path::new("D")));
        assert_eq!(effective_path(&again), r"C:\a;srv*C:\b;srv*D");
    }
}
