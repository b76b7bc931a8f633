//! The templates that the program carries, and how their place holders are filled in.

use std::borrow::Cow;

use crate::cli::Language;

/// All files of `guest-sdk/` that belong to an SDK or a template: paths from there, and bytes.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/guest_sdk_files.rs"));

/// Folders of an SDK that its users need not have. Its lock files neither: the versions are theirs to choose.
const NOT_COPIED: [&str; 2] = ["test", "tests"];
const LOCK_FILES: [&str; 4] = ["Cargo.lock", "package-lock.json", "uv.lock", "poetry.lock"];

/// The longest name: it becomes part of the names of topics and files.
const NAME_LENGTH_MAX: usize = 64;

/// What the names of tests in C end in: in the names of files it is `_test`.
const TEST_SUFFIX: &str = "-test";

/// Words that a language, a tool or a template has taken.
const RESERVED: [&str; 96] = [
    "abstract",
    "alloc",
    "and",
    "as",
    "assert",
    "async",
    "auto",
    "await",
    "bool",
    "break",
    "build",
    "case",
    "cases",
    "catch",
    "chan",
    "char",
    "class",
    "const",
    "continue",
    "core",
    "crate",
    "debugger",
    "def",
    "default",
    "defer",
    "del",
    "delete",
    "do",
    "double",
    "dyn",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extends",
    "extern",
    "false",
    "finally",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "gen",
    "global",
    "go",
    "goto",
    "if",
    "impl",
    "implements",
    "import",
    "in",
    "init",
    "instanceof",
    "int",
    "interface",
    "internal",
    "is",
    "lambda",
    "let",
    "long",
    "loop",
    "main",
    "map",
    "match",
    "millstream",
    "mod",
    "move",
    "mut",
    "new",
    "none",
    "not",
    "null",
    "or",
    "package",
    "pass",
    "plugin",
    "private",
    "pub",
    "raise",
    "range",
    "return",
    "sdk",
    "select",
    "self",
    "signed",
    "static",
    "std",
    "struct",
    "switch",
    "test",
    "try",
    "type",
    "yield",
];

/// Modules that the one of a plugin in Python would take the place of: those of the standard library (Python 3.11 to 3.14),
/// and what is beside the plugin in its component.
const PYTHON_MODULES: &str = include_str!("python_modules.txt");

/// The packages of Go's standard library, by the first part of their paths, and the words that stand for sets of packages: what is
/// imported by such a path would be ambiguous.
const GO_PACKAGES: [&str; 55] = [
    "all",
    "archive",
    "arena",
    "bufio",
    "builtin",
    "bytes",
    "cmd",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "hash",
    "html",
    "image",
    "index",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "reflect",
    "regexp",
    "runtime",
    "simd",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "tool",
    "toolchain",
    "unicode",
    "unique",
    "unsafe",
    "vendor",
    "weak",
    "work",
];

/// Whether a language's standard library, its tools or its SDK call a package of their own so.
fn is_taken_in(language: Language, name: &str) -> bool {
    match language {
        Language::Rust => ["millstream-sdk", "proc-macro"].contains(&name),
        Language::Go => GO_PACKAGES.contains(&name),
        Language::Python => {
            let module = name.replace('-', "_");
            PYTHON_MODULES.split_whitespace().any(|taken| taken == module)
        }
        Language::Js | Language::Ts | Language::C => false,
    }
}

/// The allowed name that `name` looks like. None for what has other letters: without them it would be another word.
fn near(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let near = parts.join("-");
    (name.is_ascii() && near != name && !near.is_empty()).then_some(near)
}

/// A plugin's name in the ways in which languages write names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    plain: String,
}

impl Names {
    /// Checks a name for a plugin in `language`. The error says what a name is made of.
    pub fn new(name: &str, language: Language) -> Result<Self, String> {
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if name.len() > NAME_LENGTH_MAX {
            return Err(format!("it has more than {NAME_LENGTH_MAX} characters"));
        }
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.split('-').all(is_part) {
            let hint = near(name).and_then(|near| Self::new(&near, language).ok());
            let hint = hint.map_or_else(String::new, |near| format!("; `{}`, say", near.plain));
            return Err(format!("use lower-case letters, digits and single dashes, and begin with a letter{hint}"));
        }
        if RESERVED.contains(&name) {
            return Err("a language or a tool has taken this word; choose another".to_owned());
        }
        if is_taken_in(language, name) {
            let language = language.title();
            return Err(format!(
                "in {language} a package of the standard library or the SDK is called so; choose another"
            ));
        }
        if language == Language::C && name.ends_with(TEST_SUFFIX) {
            return Err(format!(
                "in C files that end so are tests, and no part of a plugin; leave out `{TEST_SUFFIX}`"
            ));
        }
        Ok(Self { plain: name.to_owned() })
    }

    /// `word-count`.
    pub fn plain(&self) -> &str {
        &self.plain
    }

    fn snake(&self) -> String {
        self.plain.replace('-', "_")
    }

    fn pascal(&self) -> String {
        let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
        self.plain.split('-').map(capital).collect()
    }

    /// The text with its place holders filled in.
    fn fill(&self, text: &str) -> String {
        let text = text.replace("{{name}}", &self.plain);
        text.replace("{{snake}}", &self.snake()).replace("{{pascal}}", &self.pascal())
    }
}

/// The template of a language, and its SDK.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    sdk: &'static str,
    folder: &'static str,
}

impl Template {
    /// The template of `language`, if the program has it.
    pub fn of(language: Language) -> Option<Self> {
        let (sdk, folder) = match language {
            Language::Rust => ("rust/", "rust/template/"),
            Language::Js => ("js/", "js/template/"),
            Language::Ts => ("js/", "js/template-ts/"),
            Language::Python => ("python/", "python/template/"),
            Language::Go => ("go/", "go/template/"),
            Language::C => ("c/", "c/template/"),
        };
        FILES.iter().any(|(path, _)| path.starts_with(folder)).then_some(Self { sdk, folder })
    }

    /// The files of a new plugin: paths in its directory, and bytes.
    pub fn files(self, names: &Names) -> impl Iterator<Item = (String, Cow<'static, [u8]>)> {
        let of_template = FILES.iter().filter_map(move |(path, bytes)| {
            let path = names.fill(path.strip_prefix(self.folder)?);
            // Without its dot it is not obeyed while it is a template.
            let path = if path == "gitignore" { ".gitignore".to_owned() } else { path };
            let filled = std::str::from_utf8(bytes).map(|text| Cow::Owned(names.fill(text).into_bytes()));
            Some((path, filled.unwrap_or(Cow::Borrowed(*bytes))))
        });
        let of_sdk = FILES.iter().filter_map(move |(path, bytes)| {
            let path = path.strip_prefix(self.sdk)?;
            is_copied(path).then(|| (format!("sdk/{path}"), Cow::Borrowed(*bytes)))
        });
        of_template.chain(of_sdk)
    }
}

fn is_copied(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    !first.starts_with("template") && !NOT_COPIED.contains(&first) && !LOCK_FILES.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_each_language_does() {
        let names = Names::new("word-count2", Language::Rust).expect("a name");
        assert_eq!(names.fill("{{name}} {{snake}} {{pascal}} {name}"), "word-count2 word_count2 WordCount2 {name}");
    }

    #[test]
    fn what_is_no_name_is_refused_and_a_near_one_is_told() {
        for (wrong, hint) in [
            ("", "begin with a letter"),
            ("Word Count", "`word-count`, say"),
            ("word_count", "`word-count`, say"),
            ("2words", "begin with a letter"),
            ("a--b", "`a-b`, say"),
            ("ä", "begin with a letter"),
            ("class", "taken this word"),
            ("test", "taken this word"),
        ] {
            let why = Names::new(wrong, Language::Rust).expect_err(wrong);
            assert!(why.contains(hint), "{wrong}: {why}");
        }
        assert!(Names::new(&"a".repeat(65), Language::Rust).is_err());
    }

    #[test]
    fn letters_that_names_can_t_have_are_not_left_out_of_the_name_that_is_told() {
        let why = Names::new("h\u{e9}\u{e9}", Language::Rust).expect_err("other letters");
        assert_eq!(why, "use lower-case letters, digits and single dashes, and begin with a letter");
    }

    #[test]
    fn what_a_language_calls_a_package_of_its_own_is_no_name_in_it() {
        let cases = [(Language::Go, "fmt"), (Language::Go, "text"), (Language::Rust, "millstream-sdk")];
        for (language, name) in cases {
            let why = Names::new(name, language).expect_err(name);
            assert!(
                why.contains(&format!(
                    "in {} a package of the standard library or the SDK is called so",
                    language.title()
                )),
                "{name}: {why}"
            );
            assert!(Names::new(name, Language::C).is_ok(), "{name}");
        }
        let why = Names::new("words-test", Language::C).expect_err("its source would be a test");
        assert!(why.contains("leave out `-test`"), "{why}");
        assert!(Names::new("words-test", Language::Go).is_ok());
        let near = Names::new("Fmt", Language::Go).expect_err("a capital");
        assert!(!near.contains("say"), "{near}");
    }

    #[test]
    fn a_plugin_in_python_takes_the_place_of_no_other_module() {
        for (name, is_taken) in [
            ("typing", true),
            ("py-compile", true),
            ("encodings", true),
            ("wit-world", true),
            ("types-of-words", false),
        ] {
            assert_eq!(Names::new(name, Language::Python).is_err(), is_taken, "{name}");
            assert!(Names::new(name, Language::Js).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_template_has_what_the_readme_promises() {
        let names = Names::new("word-count", Language::Rust).expect("a name");
        for language in [Language::Rust, Language::Js, Language::Ts, Language::Python, Language::Go, Language::C] {
            let Some(template) = Template::of(language) else { continue };
            let files: Vec<_> = template.files(&names).collect();
            let has = |name: &str| files.iter().any(|(path, _)| path == name);
            for name in ["millstream.toml", "README.md", "cases/word-count.yaml", ".gitignore", "sdk/README.md"] {
                assert!(has(name), "the template of {} has no {name}", language.title());
            }
            for (path, bytes) in files.iter().filter(|(path, _)| !path.starts_with("sdk/")) {
                let text = String::from_utf8_lossy(bytes);
                assert!(!path.contains("{{") && !text.contains("{{"), "a place holder is left in {path}");
            }
            assert!(!files.iter().any(|(path, _)| path.starts_with("sdk/template") || path.contains("/target/")));
        }
    }
}
