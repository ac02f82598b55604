//! What was tried for one file in one place, and the download where that place is a server.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::printable::printable_path;
use crate::base::progress::{Cancelled, Progress};
use crate::input::dump::mapping::Mapping;

use super::download::{Download, Downloaded, Verify, pointer_text};
use super::search::{SymbolSearch, Target, place_text};
use super::symbol_path::Place;
use super::{Attempt, Outcome};

/// What was tried in one place.
pub(super) struct Tried<'a> {
    target: &'a Target,
    place: &'a Place,
    attempts: Vec<Attempt>,
}

impl<'a> Tried<'a> {
    pub fn new(target: &'a Target, place: &'a Place) -> Self {
        Self { target, place, attempts: Vec::new() }
    }

    /// What the file system says of a file; `None` when there is none, or it cannot be looked at.
    pub fn file(&mut self, path: &Path) -> Option<fs::Metadata> {
        match fs::metadata(path) {
            Ok(file) => file.is_file().then_some(file),
            // A part of the path may be a file, or longer than the system takes.
            Err(error) if !matches!(error.kind(), ErrorKind::PermissionDenied) => None,
            Err(error) => {
                self.refuse(format!("{} cannot be looked at: {error}", printable_path(path)));
                None
            }
        }
    }

    pub fn refuse(&mut self, reason: String) {
        self.push(place_text(self.place), Outcome::Refused(reason));
    }

    pub fn remark(&mut self, place: String, text: String) {
        self.push(place, Outcome::Remark(text));
    }

    fn push(&mut self, place: String, outcome: Outcome) {
        self.attempts.push(Attempt { file: self.target.name().to_owned(), place, outcome });
    }

    /// Asks the server of this place for the file, where that is allowed. `verify` says whether what came is that file.
    pub fn download<T>(
        &mut self,
        search: &SymbolSearch,
        verify: Verify<'_, T>,
        progress: &Progress,
    ) -> Result<Option<(PathBuf, T)>, Cancelled> {
        let Place::Server { url, keep_in: Some(store) } = self.place else { return Ok(None) };
        if search.why_not_asked(self.place).is_some() {
            return Ok(None);
        }
        let download = Download { servers: &search.servers, url, store, target: self.target };
        match download.run(verify, progress)? {
            Downloaded::Kept { path, value } => {
                self.remark(place_text(self.place), "downloaded".to_owned());
                return Ok(Some((path, value)));
            }
            Downloaded::NotThere => {}
            Downloaded::Refused(why) => self.refuse(format!("{}: {why}", place_text(self.place))),
            Downloaded::Silent(why) => self.push(place_text(self.place), Outcome::NoAnswer(why)),
        }
        Ok(None)
    }

    /// All that was tried; `used` is the file that was taken.
    pub fn finish(mut self, used: Option<String>, search: &SymbolSearch) -> Vec<Attempt> {
        if let Some(path) = used {
            self.push(path, Outcome::Used);
            return self.attempts;
        }
        let is_server = matches!(self.place, Place::Server { .. });
        if let Some(why) = search.why_not_asked(self.place).filter(|_| is_server) {
            self.push(place_text(self.place), Outcome::NotAsked(why.to_owned()));
        }
        if self.attempts.is_empty() {
            self.tell_pointers();
        }
        if self.attempts.is_empty() {
            self.push(place_text(self.place), Outcome::NotThere);
        }
        self.attempts
    }

    fn tell_pointers(&mut self) {
        for pointer in self.target.pointers_in(self.place) {
            if let Ok(file) = Mapping::open(&pointer) {
                self.refuse(format!("{}: {}", printable_path(&pointer), pointer_text(&file)));
                return;
            }
        }
    }
}
