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
//! | `https://…` | that server, as `srv*https://…` |
//!
//! What a server gives is kept in the first store of its chain, else in that of a `cache*` before it, else in the default
//! local store.
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
    /// A symbol server, and the store that its files are kept in; `None` where the path leads to none.
    Server { url: String, keep_in: Option<PathBuf> },
}

/// The places of a symbol path. `default_store` is where debuggers keep downloads when the path names no folder; without
/// one such an element has no place.
pub fn parse_symbol_path(text: &str, default_store: Option<&Path>) -> Vec<Place> {
    let mut path = PathReader { default_store, cache: None, places: Vec::new() };
    for element in text.split(';') {
        // Quotation marks come with paths that were copied from a command line.
        let element = element.trim().trim_matches('"').trim();
        if !element.is_empty() {
            path.read_element(element);
        }
    }
    let mut seen: Vec<Place> = Vec::new();
    for place in path.places {
        if !seen.contains(&place) {
            seen.push(place);
        }
    }
    seen
}

struct PathReader<'a> {
    default_store: Option<&'a Path>,
    /// The store of the last `cache*`.
    cache: Option<PathBuf>,
    places: Vec<Place>,
}

impl PathReader<'_> {
    fn read_element(&mut self, element: &str) {
        let mut parts = element.split('*').map(str::trim);
        let keyword = parts.next().unwrap_or_default();
        let is_keyword = |word: &str| keyword.eq_ignore_ascii_case(word) && element.contains('*');
        if is_keyword("cache") {
            let named = parts.next().filter(|part| !part.is_empty()).map(Path::new);
            if let Some(store) = named.or(self.default_store) {
                self.cache = Some(store.to_owned());
                self.places.push(Place::Store(store.to_owned()));
            }
        } else if is_keyword("srv") {
            self.read_chain(&parts.collect::<Vec<_>>());
        } else if is_keyword("symsrv") {
            // The name of the library that asks servers: there is one way to ask them here.
            self.read_chain(&parts.skip(1).collect::<Vec<_>>());
        } else if is_url(element) {
            let keep_in = self.cache.clone().or_else(|| self.default_store.map(Path::to_owned));
            self.places.push(Place::Server { url: element.to_owned(), keep_in });
        } else {
            self.places.push(Place::Folder(PathBuf::from(element)));
        }
    }

    fn read_chain(&mut self, parts: &[&str]) {
        let mut urls: Vec<&str> = parts.iter().copied().filter(|part| is_url(part)).collect();
        let named = parts.iter().filter(|part| !is_url(part));
        let stores: Vec<PathBuf> = named
            .filter_map(|part| if part.is_empty() { self.default_store } else { Some(Path::new(*part)) })
            .map(Path::to_owned)
            .collect();
        if parts.iter().all(|part| part.is_empty()) {
            urls.push(MICROSOFT_SERVER);
        }
        let keep_in = stores.first().or(self.cache.as_ref()).cloned();
        let keep_in = keep_in.or_else(|| self.default_store.map(Path::to_owned));
        if stores.is_empty() {
            self.places.extend(self.default_store.map(|store| Place::Store(store.to_owned())));
        }
        self.places.extend(stores.into_iter().map(Place::Store));
        let server = |url: &str| Place::Server { url: url.to_owned(), keep_in: keep_in.clone() };
        self.places.extend(urls.into_iter().map(server));
    }
}

/// Whether an element is the address of a server.
pub(super) fn is_url(text: &str) -> bool {
    let starts_with = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts_with("https://") || starts_with("http://")
}

/// The effective path, as a symbol path that has the same places.
pub fn effective_path(places: &[Place]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for place in places {
        match place {
            Place::Folder(folder) => texts.push(folder.display().to_string()),
            Place::Store(folder) => texts.push(format!("srv*{}", folder.display())),
            Place::Server { url, keep_in } => {
                let url = shown_url(url);
                let chain = keep_in.as_ref().map_or_else(|| "srv".to_owned(), |kept| format!("srv*{}", kept.display()));
                if texts.last() == Some(&chain) {
                    texts.pop();
                }
                texts.push(format!("{chain}*{url}"));
            }
        }
    }
    texts.join(";")
}

/// The address of a server without the name and password that it may hold.
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => url.to_owned(),
    }
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
                Place::Server { url, keep_in: None } => format!("server {url}"),
                Place::Server { url, keep_in: Some(store) } => format!("server {url} into {}", store.display()),
            })
            .collect()
    }

    #[test]
    fn documented_syntax_is_known() {
        let cases: [(&str, &[&str]); 18] = [
            ("", &[]),
            (" ;; ", &[]),
            (r"C:\symbols", &[r"folder C:\symbols"]),
            (r#""C:\my symbols""#, &[r"folder C:\my symbols"]),
            (r"\\server\share\sym;C:\b", &[r"folder \\server\share\sym", r"folder C:\b"]),
            ("srv*", &["store D", "server https://msdl.microsoft.com/download/symbols into D"]),
            (r"srv*C:\sym", &[r"store C:\sym"]),
            (r"SRV*C:\sym*https://x/y", &[r"store C:\sym", r"server https://x/y into C:\sym"]),
            (r"srv*C:\a*\\s\b*HTTPS://x", &[r"store C:\a", r"store \\s\b", r"server HTTPS://x into C:\a"]),
            ("srv**https://x", &["store D", "server https://x into D"]),
            ("srv*https://x", &["store D", "server https://x into D"]),
            (r"symsrv*symsrv.dll*C:\a*http://x", &[r"store C:\a", r"server http://x into C:\a"]),
            (r"SymSrv*SymSrv.dll*\\s\a", &[r"store \\s\a"]),
            (r"cache*C:\c;srv*https://x", &[r"store C:\c", "store D", r"server https://x into C:\c"]),
            (r"Cache*;C:\a;;C:\a;cache*", &["store D", r"folder C:\a"]),
            (r"cache*C:\c;srv*C:\a*https://x", &[r"store C:\c", r"store C:\a", r"server https://x into C:\a"]),
            ("https://x", &["server https://x into D"]),
            (
                r"https://x;cache*C:\c;http://y",
                &["server https://x into D", r"store C:\c", r"server http://y into C:\c"],
            ),
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
        assert_eq!(
            parse_symbol_path("cache*;srv*https://x", None),
            [Place::Server { url: "https://x".to_owned(), keep_in: None }]
        );
    }

    #[test]
    fn the_effective_path_has_the_same_places() {
        let text = r"C:\a;srv*C:\b*https://x;cache*";
        let places = parse_symbol_path(text, Some(Path::new("D")));
        assert_eq!(effective_path(&places), r"C:\a;srv*C:\b*https://x;srv*D");
        assert_eq!(parse_symbol_path(&effective_path(&places), Some(Path::new("D"))), places);
        let kept_elsewhere = parse_symbol_path(r"cache*C:\c;srv*https://x", None);
        assert_eq!(effective_path(&kept_elsewhere), r"srv*C:\c*https://x");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown_url("https://me:secret@host/x@y"), "https://…@host/x@y");
        assert_eq!(shown_url("https://host/x"), "https://host/x");
    }
}
