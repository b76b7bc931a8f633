//! Which declarations of a WIT file have no documentation.

use crate::tree;

/// A complaint for each function, type, interface and world without `///` before it.
pub fn undocumented(path: &str) -> Vec<String> {
    let text = tree::text(path).unwrap_or_default();
    bare_declarations(&text).into_iter().map(|(line, what)| format!("{path}:{line}: `{what}`")).collect()
}

fn bare_declarations(text: &str) -> Vec<(usize, String)> {
    let mut bare = Vec::new();
    let mut documented = false;
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with("///") || line.starts_with('@') && documented {
            documented = true;
            continue;
        }
        if declares(line) && !documented {
            bare.push((at + 1, line.trim_end_matches(['{', ' ', ';']).to_owned()));
        }
        documented = false;
    }
    bare
}

fn declares(line: &str) -> bool {
    let kinds = ["interface ", "world ", "record ", "variant ", "enum ", "flags ", "resource ", "type "];
    let is_function = line.split_once(": ").is_some_and(|(name, rest)| {
        let rest = rest.trim_start_matches("static ").trim_start();
        (rest.starts_with("func(") || rest.starts_with("func (")) && !name.contains("//")
    });
    is_function || line.starts_with("constructor(") || kinds.iter().any(|kind| line.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_comment_is_found() {
        let text = "/// Doc.\ninterface a {\n    /// Doc.\n    @since(version = 0.1.0)\n    f: func();\n    g: func() -> u8;\n    type t = u8;\n}\n";
        let lines: Vec<_> = bare_declarations(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [6, 7]);
    }
}
