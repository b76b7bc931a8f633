//! A Rust file as the rules see it: its text, and its code without comments and literals.

use crate::tree;

/// One file.
pub struct RustSource {
    /// From the checkout's directory.
    pub path: String,
    /// As it is written.
    pub text: String,
    /// The same lines and columns, with comments and the inside of literals blank.
    code: String,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

impl RustSource {
    pub fn read(path: String) -> Self {
        let text = tree::text(&path).unwrap_or_default();
        let code = blank_comments_and_literals(&text);
        Self { path, text, code }
    }

    /// Whether it belongs to the pure part; `testing` holds suites for those who implement the ports.
    pub fn is_core(&self) -> bool {
        self.path.starts_with("host/core/src/") && !self.path.starts_with("host/core/src/testing")
    }

    /// The line numbers on which code has `pattern`.
    pub fn lines_with<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.lines().enumerate().filter(move |(_, line)| line.contains(pattern)).map(|(at, _)| at + 1)
    }

    /// The functions that have a body, in order; closures and macros count for what they are in.
    pub fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let before = self.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &self.code[at + 3..];
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let (false, Some(end)) = (name.is_empty(), body_end(rest)) {
                let lines = rest[..end].matches('\n').count() + 1;
                functions.push(Function { name, line: line_of(&self.code, at), lines });
            }
        }
        functions
    }

    /// Every path in the code, `use` trees spread out, with its line.
    pub fn paths(&self) -> Vec<(usize, String)> {
        let mut paths = Vec::new();
        let mut rest = 0;
        while let Some(found) = self.code[rest..].find("use ") {
            let start = rest + found;
            let ends = self.code[start..].find(';').map_or(self.code.len(), |end| start + end);
            let line_start = self.code[..start].rfind('\n').map_or(0, |at| at + 1);
            let before = self.code[line_start..start].trim();
            if before.is_empty() || before.starts_with("pub") {
                let tree: String = self.code[start + 4..ends].split_whitespace().collect::<Vec<_>>().join(" ");
                let line = line_of(&self.code, start);
                spread("", &tree, &mut |path| paths.push((line, path)));
            }
            rest = start + 4;
        }
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for (at, line) in self.code.lines().enumerate() {
            let words = line.split(|c| !is_path(c)).filter(|word| word.contains("::"));
            paths.extend(words.map(|word| (at + 1, word.trim_start_matches("::").to_owned())));
        }
        paths
    }

    /// The lines of statements that are a `matches!` alone.
    pub fn bare_matches(&self) -> Vec<usize> {
        let name = concat!("match", "es!(");
        let is_bare = |at: &usize| {
            let begins = self.code[..*at].trim_end().ends_with([';', '{', '}']);
            let open = *at + name.len() - 1;
            begins
                && closing(&self.code[open..], '(', ')')
                    .is_some_and(|end| self.code[open + end + 1..].trim_start().starts_with(';'))
        };
        self.code.match_indices(name).map(|(at, _)| at).filter(is_bare).map(|at| line_of(&self.code, at)).collect()
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where the body of a function ends that is declared by what follows its `fn`; `None` when it has no body.
fn body_end(declaration: &str) -> Option<usize> {
    let mut depth = 0i32;
    for (at, c) in declaration.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ';' if depth == 0 => return None,
            '{' if depth == 0 => return closing(&declaration[at..], '{', '}').map(|end| at + end),
            _ => {}
        }
        if depth < 0 {
            return None; // the type of a function pointer in somebody's parameters
        }
    }
    None
}

/// Where the bracket closes that `text` begins with.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// `a::{b, c::{d as e}}` as `a::b` and `a::c::d`.
fn spread(prefix: &str, tree: &str, found: &mut dyn FnMut(String)) {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((head, rest)) => {
            let inside = rest.strip_suffix('}').unwrap_or(rest);
            let mut depth = 0;
            let branches = inside.split(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                c == ',' && depth == 0
            });
            for branch in branches.filter(|branch| !branch.trim().is_empty()) {
                spread(&format!("{prefix}{}", head.trim()), branch, found);
            }
        }
        None => {
            let name = tree.split(" as ").next().unwrap_or(tree).trim();
            let path = format!("{prefix}{name}");
            found(path.trim_end_matches("::self").trim_start_matches("::").to_owned());
        }
    }
}

/// Spaces instead of comments and of what literals contain; line breaks stay.
fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + token_length(text, at);
        let token = &text[at..end];
        let (keep_first, keep_last) = match token.as_bytes()[0] {
            b'/' if token.len() > 1 => (0, 0),
            b'"' | b'\'' if token.len() > 1 => (1, 1),
            b'r' if token.len() > 1 => (1, 1),
            _ => (token.len(), 0),
        };
        if keep_first < token.len() {
            for byte in &mut code[at + keep_first..end - keep_last] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end;
    }
    String::from_utf8(code).expect("whole tokens were replaced")
}

/// The bytes of the comment or literal at `at`, or of the one character there.
fn token_length(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if rest.starts_with('"') {
        return quoted_length(rest, '"');
    }
    if let Some(after) = rest.strip_prefix('\'') {
        let mut chars = after.chars();
        let is_char = match chars.next() {
            Some('\\') => true,
            Some(_) => chars.next() == Some('\''),
            None => false,
        };
        return if is_char { quoted_length(rest, '\'') } else { first };
    }
    let inside_a_word = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() && c != 'b' && c != 'c');
    if rest.starts_with('r') && !inside_a_word {
        let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = 2 + hashes;
            return rest[inside..].find(&end).map_or(rest.len(), |found| inside + found + end.len());
        }
    }
    first
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> RustSource {
        RustSource {
            path: "host/core/src/x.rs".to_owned(),
            text: text.to_owned(),
            code: blank_comments_and_literals(text),
        }
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a /* x /* y */ z */ \"q\\\"{\" 'c' '\\'' &'static r#\"{\"\"#; // end {\nb\"{\"";
        let code = blank_comments_and_literals(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains(['{', 'x', 'y', 'z', 'q', 'e']), "{code}");
        assert!(code.contains("&'static"), "{code}");
    }

    #[test]
    fn a_function_reaches_from_its_name_to_its_brace() {
        let file = source(
            "trait T {\n    fn none(&self, f: fn(u8) -> [u8; 2]);\n}\nfn long(\n    a: u8,\n) {\n    if a { }\n}\n",
        );
        let found: Vec<_> = file.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("long".to_owned(), 4, 5)]);
    }

    #[test]
    fn use_trees_are_spread_out() {
        let file = source("use std::{fs, time::{Duration, Instant as Now}};\nlet x = ::std::env::var(y);");
        let paths: Vec<_> = file.paths().into_iter().map(|(_, path)| path).collect();
        for expected in ["std::fs", "std::time::Duration", "std::time::Instant", "std::env::var"] {
            assert!(paths.iter().any(|path| path == expected), "{expected} in {paths:?}");
        }
    }

    #[test]
    fn a_bare_question_is_found_and_an_assertion_is_not() {
        let bare = format!("fn f() {{\n    {}x, Some(_));\n    assert!({}x, None));\n}}", "matches!(", "matches!(");
        assert_eq!(source(&bare).bare_matches(), [2]);
    }
}
