//! Holds the source to ARCHITECTURE.md: who may import whom, which word stands where, how a file looks.
//!
//! The tables are read from that document and stand nowhere else, so what a reader finds there is what is checked.

mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use source::{code_only, imports, is_name_char};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file longer than the first number is named, one longer than the second fails.
const LONG_FILE_LINES: usize = 400;
const LONGEST_FILE_LINES: usize = 700;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 6] = ["common", "helpers", "misc", "shared", "types", "utils"];

/// Words that stand for work left undone. `TODO(name)` is allowed: somebody answers for it.
const UNFINISHED_WORDS: [&str; 3] = ["todo!", "unimplemented!", "FIXME"];

struct SourceFile {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

/// A row of the import table.
struct Row {
    /// A module, `*` standing for any one name.
    folder: String,
    may_import: Vec<String>,
}

/// A row of the word table.
struct Place {
    words: Vec<String>,
    /// Files, and folders with a `/` at the end.
    only_in: Vec<String>,
}

#[test]
fn imports_keep_to_the_table() {
    let table = import_table(&read("ARCHITECTURE.md"));
    let faults = each_file(|file| import_faults(&table, file));
    assert_no_faults(&faults);
}

#[test]
fn import_table_points_down_and_has_no_dead_row() {
    let table = import_table(&read("ARCHITECTURE.md"));
    let modules: Vec<String> = source_files().iter().map(|file| module_of(&file.path)).collect();
    let mut layers = BTreeSet::from([""]);
    let mut faults = Vec::new();
    for row in &table {
        layers.insert(first_name(&row.folder));
        if !modules.iter().any(|module| own_folder(&row.folder, module).is_some()) {
            faults.push(format!("import table: no file belongs to `{}`", row.folder));
        }
        for allowed in row.may_import.iter().filter(|allowed| !layers.contains(first_name(allowed))) {
            faults.push(format!("import table: `{}` names `{allowed}`, a layer further down the table", row.folder));
        }
    }
    assert_no_faults(&faults);
}

#[test]
fn words_stand_in_their_places() {
    let places = word_table(&read("ARCHITECTURE.md"));
    let faults = each_file(|file| word_faults(&places, file));
    assert_no_faults(&faults);
}

#[test]
fn files_are_introduced_named_finished_and_short() {
    let faults = each_file(manner_faults);
    for file in source_files() {
        let line_count = file.text.lines().count();
        if line_count > LONG_FILE_LINES {
            println!("{} has {line_count} lines: has it one subject?", file.path);
        }
    }
    assert_no_faults(&faults);
}

#[test]
fn document_names_every_layer_and_dependency() {
    let document = read("ARCHITECTURE.md");
    let manifest = read("Cargo.toml");
    let files = source_files();
    let folders = files.iter().filter_map(|file| file.path.strip_prefix("src/")?.split_once('/')).map(|(name, _)| name);
    let faults: Vec<String> = folders
        .chain(dependencies(&manifest))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| !document.contains(&format!("`{name}`")))
        .map(|name| format!("ARCHITECTURE.md: says nothing of `{name}`"))
        .collect();
    assert_no_faults(&faults);
}

fn import_faults(table: &[Row], file: &SourceFile) -> Vec<String> {
    let module = module_of(&file.path);
    let row_and_own = table
        .iter()
        .filter_map(|row| Some((row, own_folder(&row.folder, &module)?)))
        .max_by_key(|(row, _)| (row.folder.split("::").count(), !row.folder.contains('*')));
    let Some((row, own)) = row_and_own else {
        return vec![format!("{}: the import table has no row for `{module}`", file.path)];
    };
    let allowed = || row.may_import.iter().chain([&own]);
    imports(&file.text, &module)
        .iter()
        .filter(|import| !allowed().any(|folder| is_within(&import.path, folder)))
        .map(|import| {
            let (path, line, folder) = (&file.path, import.line, &row.folder);
            let may = row.may_import.join(", ");
            format!("{path}:{line}: takes `{}`, but `{folder}` may import only: {may}", import.path)
        })
        .collect()
}

fn word_faults(places: &[Place], file: &SourceFile) -> Vec<String> {
    let code = code_only(&file.text);
    let mut faults = Vec::new();
    for place in places.iter().filter(|place| !place.only_in.iter().any(|home| is_home(home, &file.path))) {
        for (index, line) in code.lines().enumerate() {
            for word in place.words.iter().filter(|word| has_word(line, word)) {
                let homes = place.only_in.join(", ");
                faults.push(format!("{}:{}: `{word}` may stand only in: {homes}", file.path, index + 1));
            }
        }
    }
    faults
}

fn manner_faults(file: &SourceFile) -> Vec<String> {
    let SourceFile { path, text } = file;
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{path}:1: does not begin with `//!`, saying what the file is"));
    }
    let line_count = text.lines().count();
    if line_count > LONGEST_FILE_LINES {
        faults.push(format!("{path}: {line_count} lines, at most {LONGEST_FILE_LINES}: split it by subject"));
    }
    for name in path.trim_end_matches(".rs").split('/').filter(|name| EMPTY_NAMES.contains(name)) {
        faults.push(format!("{path}: the name `{name}` does not say what is inside"));
    }
    for (index, line) in text.lines().enumerate() {
        let nameless_todo = line.split("TODO").skip(1).any(|after| !after.starts_with('('));
        if nameless_todo || UNFINISHED_WORDS.iter().any(|word| line.contains(word)) {
            faults.push(format!("{path}:{}: unfinished work", index + 1));
        }
    }
    faults
}

/// `process::heap` for src/process/heap/mod.rs, `lib` for src/lib.rs, `bin::dumptrend-cli` for that program.
fn module_of(path: &str) -> String {
    let path = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    path.trim_end_matches("/mod").replace('/', "::")
}

/// The part of `module` that a row's folder stands for: `process::heap` for `process::*` and `process::heap::nt`.
fn own_folder(folder: &str, module: &str) -> Option<String> {
    let names: Vec<&str> = module.split("::").collect();
    let pattern: Vec<&str> = folder.split("::").collect();
    let fits = pattern.len() <= names.len() && pattern.iter().zip(&names).all(|(p, name)| *p == "*" || p == name);
    fits.then(|| names[..pattern.len()].join("::"))
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn first_name(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

fn is_home(home: &str, path: &str) -> bool {
    if home.ends_with('/') { path.starts_with(home) } else { path == home }
}

/// Whether `word` stands in `line` as a whole word; a `*` at its end leaves the end open.
fn has_word(line: &str, word: &str) -> bool {
    let (stem, is_open) = word.strip_suffix('*').map_or((word, false), |stem| (stem, true));
    line.match_indices(stem).any(|(at, _)| {
        let begins = !line[..at].ends_with(is_name_char);
        let ends = is_open || !line[at + stem.len()..].starts_with(is_name_char);
        begins && ends
    })
}

/// Keys of the dependency sections.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_dependency_section = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_dependency_section = line.trim_end().ends_with("dependencies]");
        } else if is_dependency_section
            && let Some((name, _)) = line.split_once('=')
            && !name.starts_with(['#', ' '])
        {
            names.push(name.trim());
        }
    }
    names
}

fn import_table(document: &str) -> Vec<Row> {
    let rows = table_under(document, "Import table").into_iter().map(|cells| {
        let [folder, may_import] = cells;
        assert_eq!(folder.len(), 1, "import table: a row is about one folder, this one about {folder:?}");
        Row { folder: folder.concat(), may_import }
    });
    rows.collect()
}

fn word_table(document: &str) -> Vec<Place> {
    let rows = table_under(document, "Word table");
    rows.into_iter().map(|[words, only_in]| Place { words, only_in }).collect()
}

/// The two-column table under a heading; of each cell what stands between backticks, the rest being for the reader.
fn table_under(document: &str, heading: &str) -> Vec<[Vec<String>; 2]> {
    let rows: Vec<[Vec<String>; 2]> = document
        .lines()
        .skip_while(|line| !(line.starts_with('#') && line.trim_start_matches('#').trim() == heading))
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let cells: Vec<Vec<String>> = line.trim().trim_matches('|').split('|').map(quoted_names).collect();
            cells.try_into().unwrap_or_else(|_| panic!("{heading}: not a row of two cells: {line}"))
        })
        .collect();
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table under the heading \"{heading}\"");
    rows
}

fn quoted_names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(String::from).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

fn each_file(faults: impl Fn(&SourceFile) -> Vec<String>) -> Vec<String> {
    source_files().iter().flat_map(faults).collect()
}

fn assert_no_faults(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// Every `.rs` file under src/, sorted by path.
fn source_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut folders = vec!["src".to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(Path::new(ROOT).join(&folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        for entry in entries.map(|entry| entry.unwrap_or_else(|error| panic!("{folder}: {error}"))) {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                files.push(SourceFile { text: read(&path), path });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The checks tried on made-up files: a check that cannot fail checks nothing.
mod tests {
    use super::{
        SourceFile, dependencies, has_word, import_faults, import_table, manner_faults, word_faults, word_table,
    };

    const DOCUMENT: &str = "
## Import table
Words before it.

| folder | may import |
|---|---|
| `base` | nothing |
| `process` | `base` |
| `process::*` | `base`, `input::dump` (records) |
| `gui` | `base`, `gui::ctx`, `present::Cell` |
| `gui::views::log` | nothing |
| `lib` | nothing |

## Word table
| words | only in |
|---|---|
| `unsafe` | `src/input/mapping.rs` |
| `egui*`, `Color32::from_*` | `src/gui/`, `src/main.rs` |

## Next
| not | ours |
|---|---|
| `a` | `b` |
";

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the imports of `text` in the file `path` keep to the table above.
    fn check_import(path: &str, text: &str, is_allowed: bool) {
        let faults = import_faults(&import_table(DOCUMENT), &file(path, text));
        assert_eq!(faults.is_empty(), is_allowed, "{path}: {text}: {faults:?}");
    }

    #[test]
    fn imports() {
        check_import("src/base/addr.rs", "use crate::base::units;", true);
        check_import("src/base/addr.rs", "use super::units;", true);
        check_import("src/base/addr.rs", "use crate::process::Heap;", false);
        check_import("src/base/addr.rs", "use crate::*;", false);
        check_import("src/process/heap/nt.rs", "use super::lfh; use crate::process::heap::Heap;", true);
        check_import("src/process/heap/nt.rs", "use crate::{base::Va, input::dump::Dump};", true);
        check_import("src/process/heap/nt.rs", "use crate::input::dumper;", false);
        check_import("src/process/heap/nt.rs", "use crate::input;", false);
        check_import("src/process/heap/nt.rs", "use super::super::regions::Region;", false);
        check_import("src/process/heap/mod.rs", "fn f() -> crate::process::regions::Region {}", false);
        check_import("src/process/mod.rs", "pub use self::heap::Heap;", true);
        check_import("src/gui/bars/menu.rs", "use crate::{gui::views::log, present::Cell};", true);
        check_import("src/gui/bars/menu.rs", "use crate::present::overview;", false);
        check_import("src/gui/views/log.rs", "use crate::gui::ctx::ViewCtx;", false);
        check_import("src/lib.rs", "pub mod base; pub use crate::base::Va;", false);
        check_import("src/unheard_of.rs", "", false);
    }

    #[test]
    fn import_fault_names_file_line_and_rule() {
        let faults = import_faults(&import_table(DOCUMENT), &file("src/process/a.rs", "\nuse crate::{\n  gui::App};"));
        let expected = "src/process/a.rs:3: takes `gui::App`, but `process::*` may import only: base, input::dump";
        assert_eq!(faults, [expected]);
    }

    #[test]
    fn words() {
        let faults = |path, text| word_faults(&word_table(DOCUMENT), &file(path, text)).len();
        assert_eq!(faults("src/present/a.rs", "unsafe { egui_plot::f() }\nColor32::from_rgb(1, 2, 3)"), 3);
        assert_eq!(faults("src/input/mapping.rs", "unsafe { f() }"), 0);
        assert_eq!(faults("src/gui/theme.rs", "egui::Color32::from_rgb(1, 2, 3)"), 0);
        assert_eq!(
            faults("src/present/a.rs", "#![expect(unsafe_code)] // unsafe egui\nlet a = \"egui\"; my_egui();"),
            0
        );
        assert!(has_word("a Color32::RED", "Color32") && !has_word("a Color32x", "Color32"));
    }

    #[test]
    fn manners() {
        let faults = |path, text: &str| manner_faults(&file(path, text)).len();
        assert_eq!(faults("src/a.rs", "//! A.\n// TODO(ann): b"), 0);
        assert_eq!(faults("src/a.rs", "use b;"), 1);
        assert_eq!(faults("src/utils/types.rs", "//! A."), 2);
        assert_eq!(faults("src/a.rs", "//! A.\n// TODO: b\ntodo!()\n// FIXME"), 3);
        assert_eq!(faults("src/a.rs", &"//! A.\n".repeat(700)), 0);
        assert_eq!(faults("src/a.rs", &"//! A.\n".repeat(701)), 1);
    }

    #[test]
    fn dependency_names() {
        let manifest =
            "[package]\nname = 1\n[dependencies]\n# why\nb = 1\n[dev-dependencies]\nc = { d = 1 }\n[lib]\ne = 1";
        assert_eq!(dependencies(manifest), ["b", "c"]);
    }
}
