//! The language that a component was most likely written in: a guess, for people.
//!
//! Compilers note themselves in a section called `producers`, in the core modules inside of a component. Interpreters are compiled
//! from other languages, so what only they contain is looked for first.

/// What the binary of an interpreter or a run time contains, and the language that it is there for.
const MARKS: [(&[u8], &str); 4] = [
    (b"libpython3", "Python"),
    (b"componentize-qjs", "JavaScript (QuickJS)"),
    (b"QuickJS", "JavaScript (QuickJS)"),
    (b"SpiderMonkey", "JavaScript (StarlingMonkey)"),
];

/// What compilers call themselves in `producers`, or what else only theirs contain, and the language. Rust's comes last: the adapter
/// to WASI 0.2, which components of any language may contain, is written in it.
const COMPILERS: [(&[u8], &str); 6] = [
    (b"Go cmd/compile", "Go"),
    (b"TinyGo", "Go (TinyGo)"),
    (b"wit-bindgen-rust", "Rust"),
    (b"wit-bindgen-c", "C or C++"),
    (b"clang", "C or C++"),
    (b"rustc", "Rust"),
];

/// The language, if anything tells.
#[must_use]
pub fn guess_language(component: &[u8]) -> Option<&'static str> {
    let mut known = MARKS.iter().chain(&COMPILERS);
    known.find(|(mark, _)| contains(component, mark)).map(|(_, language)| *language)
}

/// Whether `mark` is in `bytes`. The first byte is looked for by itself, which is many times faster.
fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    let Some((first, rest)) = mark.split_first() else { return true };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_an_interpreter_contains_says_more_than_its_compiler() {
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"..clang..libpython3.14.so", Some("Python")),
            (b"rustc 1.96 ..QuickJS", Some("JavaScript (QuickJS)")),
            (b"rustc Go cmd/compile", Some("Go")),
            (b"wit-bindgen-rust rustc", Some("Rust")),
            (b"clang version 19, rustc", Some("C or C++")),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(guess_language(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
