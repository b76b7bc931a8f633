//! Writes into a case file what came out: only the steps that change are touched, so comments and layout stay.

use std::ops::Range;

use super::{Case, CaseFile};

/// A change of one case's steps. Texts are tables on one line, without the `-` of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The step with this index becomes another.
    Replace(usize, String),
    /// The step with this index goes.
    Remove(usize),
    /// These come after the step with this index.
    InsertAfter(usize, Vec<String>),
}

/// The text of `file` after `edits` of its cases (by their indexes).
#[must_use]
pub fn rewritten(file: &CaseFile, edits: &[(usize, Edit)]) -> String {
    let mut changes: Vec<(Range<usize>, String)> =
        edits.iter().filter_map(|(case, edit)| Some(change(file, file.cases.get(*case)?, edit))).collect();
    // From the end, so that what is not yet changed stays where it is; equal places keep their order.
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    let mut text = file.text.clone();
    for (range, replacement) in changes.into_iter().rev() {
        text.replace_range(range, &replacement);
    }
    text
}

fn change(file: &CaseFile, case: &Case, edit: &Edit) -> (Range<usize>, String) {
    let text = &file.text;
    match edit {
        Edit::Replace(step, new) => {
            let span = &case.steps[*step].span;
            match Place::of(text, span) {
                Place::Header => (span.clone(), under_header(new)),
                _ => (span.clone(), new.clone()),
            }
        }
        Edit::Remove(step) => (removal(text, &case.steps[*step].span), String::new()),
        Edit::InsertAfter(step, new) => {
            let span = &case.steps[*step].span;
            let at = span.end;
            let indent = indent_of(text, span.start);
            match Place::of(text, span) {
                Place::Dash => {
                    let end = line_end(text, at);
                    let lines: String = new.iter().map(|new| format!("\n{indent}- {new}")).collect();
                    (end..end, lines)
                }
                Place::Header => {
                    let end = line_end(text, at);
                    let tables: String = new.iter().map(|new| format!("\n\n{}", under_header(new))).collect();
                    (end..end, tables)
                }
                Place::OwnLine => {
                    // Before the comma of the step above, which so becomes that of the last new one.
                    (at..at, new.iter().map(|new| format!(",\n{indent}{new}")).collect())
                }
                Place::Inline => (at..at, new.iter().map(|new| format!(", {new}")).collect()),
            }
        }
    }
}

/// How a step is written.
enum Place {
    /// An item of YAML's block list.
    Dash,
    /// `[[cases.steps]]`.
    Header,
    /// An item of a list in brackets, on a line of its own.
    OwnLine,
    /// An item of a list in brackets, beside others.
    Inline,
}

impl Place {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let before = text[line_start(text, span.start)..span.start].trim();
        if text[span.clone()].starts_with("[[") {
            Self::Header
        } else if before == "-" {
            Self::Dash
        } else if before.is_empty() {
            Self::OwnLine
        } else {
            Self::Inline
        }
    }
}

/// `{ a = 1, b = 2 }` below a header of its own, a member a line. Steps are made by [`Syntax::table`](super::bytes::Syntax::table), whose members
/// are told apart outside of quotes and brackets.
fn under_header(table: &str) -> String {
    let inner = table.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(table).trim();
    let (mut lines, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for character in inner.chars() {
        match character {
            '"' if !escaped => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        match lines.last_mut() {
            Some(_) if character == ',' && depth == 0 && !quoted => lines.push(String::new()),
            Some(line) => line.push(character),
            None => {}
        }
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    format!("[[cases.steps]]\n{}", lines.join("\n"))
}

/// What goes with a step: its line if it stands alone, or its comma.
fn removal(text: &str, span: &Range<usize>) -> Range<usize> {
    let after_comma = |at: usize| {
        let rest = text[at..].trim_start_matches([' ', '\t', '\n', '\r']);
        if rest.starts_with(',') { text.len() - rest.len() + 1 } else { at }
    };
    let end = after_comma(span.end);
    let rest = text[end..line_end(text, end)].trim();
    let is_alone = !matches!(Place::of(text, span), Place::Inline) && (rest.is_empty() || rest.starts_with('#'));
    if is_alone {
        return line_start(text, span.start)..(line_end(text, end) + 1).min(text.len());
    }
    let spaces = text[end..].len() - text[end..].trim_start_matches(' ').len();
    span.start..end + spaces
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline)
}

fn indent_of(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..at];
    &line[..line.len() - line.trim_start().len()]
}
