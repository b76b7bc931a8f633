//! Writes into a case file what came out: only what differs is touched, so comments and layout stay.

use std::collections::BTreeMap;

use super::bytes::Syntax;
use super::node::{Kind, Node};
use super::patch::{Change, NoPlace, Patch, Wanted, changed, line_start};
use super::{Action, CaseFile, ExpectedEntry, Step, parse, read_document, write};
use crate::config::Notes;

/// A change of one case's steps.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The step with this index becomes another.
    Replace(usize, Action),
    /// The step with this index goes.
    Remove(usize),
    /// These come before the step with this index; at the end, if there is none.
    Insert(usize, Vec<Action>),
}

/// What has become of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The new text.
    pub text: String,
    /// The cases (by their indexes) that are as they were, and why they could not be changed.
    pub refused: BTreeMap<usize, String>,
}

/// How much of a step is written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// What differs.
    Values,
    /// All of it, where it differs; its comments come to stand before it.
    Steps,
}

type Edits = BTreeMap<usize, Vec<Edit>>;
type Steps = Vec<(Option<usize>, Action)>;

/// Writes `edits` of the cases of `file` (by their indexes). The result is read again: what would not say what the edits say
/// is not written.
#[must_use]
pub fn rewritten(file: &CaseFile, edits: &Edits) -> Rewritten {
    if let Ok(after) = attempt(file, edits, Extent::Values) {
        return Rewritten { text: after.text, refused: BTreeMap::new() };
    }
    let (mut file, mut refused) = (file.clone(), BTreeMap::new());
    for (case, edits) in edits {
        let edits = Edits::from([(*case, edits.clone())]);
        match attempt(&file, &edits, Extent::Values).or_else(|_| attempt(&file, &edits, Extent::Steps)) {
            Ok(after) => file = after,
            Err(why) => drop(refused.insert(*case, why)),
        }
    }
    Rewritten { text: file.text, refused }
}

fn attempt(file: &CaseFile, edits: &Edits, extent: Extent) -> Result<CaseFile, String> {
    let changes = changes(file, edits, extent).map_err(|NoPlace| "its layout leaves no place for it".to_owned())?;
    let text = changed(&file.text, changes);
    let after = parse(text, &file.path).map_err(|mistakes| mistakes.to_string())?;
    for (index, (before, after)) in file.cases.iter().zip(&after.cases).enumerate() {
        let wanted = steps_after(&before.steps, edits.get(&index));
        if !wanted.iter().map(|(_, action)| action).eq(after.steps.iter().map(|step| &step.action)) {
            return Err(format!(
                "case {:?} would not say what came out (an anchor that others refer to?)",
                before.name
            ));
        }
    }
    Ok(after)
}

/// The steps of a case after edits, and where they were before.
fn steps_after(before: &[Step], edits: Option<&Vec<Edit>>) -> Steps {
    let edits = edits.map(Vec::as_slice).unwrap_or_default();
    let mut after = Vec::new();
    for at in 0..=before.len() {
        for edit in edits {
            match edit {
                Edit::Insert(place, new) if *place == at => after.extend(new.iter().map(|new| (None, new.clone()))),
                _ => {}
            }
        }
        let Some(before) = before.get(at) else { break };
        let is_removed = edits.iter().any(|edit| matches!(edit, Edit::Remove(step) if *step == at));
        let replaced = edits.iter().find_map(|edit| match edit {
            Edit::Replace(step, new) if *step == at => Some(new),
            _ => None,
        });
        if !is_removed {
            after.push((Some(at), replaced.unwrap_or(&before.action).clone()));
        }
    }
    after
}

fn changes(file: &CaseFile, edits: &Edits, extent: Extent) -> Result<Vec<Change>, NoPlace> {
    let root = read_document(&file.text, file.syntax, &mut Notes::new(&file.path, &file.text)).ok_or(NoPlace)?;
    let cases = root.member("cases").and_then(Node::list).ok_or(NoPlace)?;
    let mut patch = Patch::new(&file.text, &root, file.syntax);
    let mut whole = Vec::new();
    for (index, edits) in edits {
        let before = &file.cases[*index].steps;
        let list = cases.get(*index).and_then(|case| case.member("steps")).ok_or(NoPlace)?;
        let mut items = Vec::new();
        for (old, action) in steps_after(before, Some(edits)) {
            let wanted = match old {
                Some(old) if before[old].action != action => {
                    let step = list.list().and_then(|steps| steps.get(old)).ok_or(NoPlace)?;
                    let wanted = wanted_step(&before[old].action, &action, file.syntax);
                    if extent == Extent::Steps || patch.attempt(step, &wanted).is_err() {
                        whole.push(whole_step(&patch, step, &write::step(&action, file.syntax), &file.text));
                    }
                    Wanted::Kept
                }
                Some(_) => Wanted::Kept,
                None => Wanted::Text(write::step(&action, file.syntax)),
            };
            items.push((old, wanted));
        }
        patch.change(list, &Wanted::List(items))?;
    }
    let mut changes = patch.into_changes();
    changes.extend(whole);
    Ok(changes)
}

/// How a step becomes another.
fn wanted_step(before: &Action, after: &Action, syntax: Syntax) -> Wanted {
    let (old, new) = (write::members(before, syntax), write::members(after, syntax));
    let entries = match (before, after) {
        (Action::Store(before), Action::Store(after)) if before.is_all && after.is_all => {
            Some(wanted_entries(&before.entries, &after.entries, syntax))
        }
        _ => None,
    };
    let wanted = new.into_iter().map(|(name, text)| {
        let wanted = match &entries {
            _ if old.contains(&(name, text.clone())) => Wanted::Kept,
            Some(Some(entries)) if name == "entries" => entries.clone(),
            _ => Wanted::Text(text),
        };
        (name.to_owned(), wanted)
    });
    Wanted::Table(wanted.collect())
}

/// How the entries of a store become others: those of the same key stay where they are.
fn wanted_entries(before: &[ExpectedEntry], after: &[ExpectedEntry], syntax: Syntax) -> Option<Wanted> {
    let mut at = 0;
    let wanted: Vec<_> = after
        .iter()
        .map(|entry| match before[at..].iter().position(|old| old.key == entry.key) {
            Some(place) => {
                at += place + 1;
                let (old, new) = (write::entry(&before[at - 1], syntax), write::entry(entry, syntax));
                let member = |(name, text): (&'static str, String)| match old.contains(&(name, text.clone())) {
                    true => (name.to_owned(), Wanted::Kept),
                    false => (name.to_owned(), Wanted::Text(text)),
                };
                (Some(at - 1), Wanted::Table(new.into_iter().map(member).collect()))
            }
            None => (None, Wanted::Text(write::entry_table(entry, syntax))),
        })
        .collect();
    wanted.iter().any(|(old, _)| old.is_some()).then_some(Wanted::List(wanted))
}

/// A step that is written anew.
fn whole_step(patch: &Patch<'_>, step: &Node, new: &str, text: &str) -> Change {
    let span = step.span.clone();
    let start = line_start(text, span.start);
    let before = text[start..span.start].trim();
    let new = match &step.kind {
        Kind::Table(_) if text[span.clone()].starts_with("[[") => patch.under_header(&span, new),
        _ => new.to_owned(),
    };
    if before.is_empty() || before == "-" {
        let indent = &text[start..start + (text[start..].len() - text[start..].trim_start().len())];
        let comments = patch.kept_comments(&span, indent);
        return (start..span.end, format!("{comments}{}{new}", &text[start..span.start]));
    }
    let indent = format!("{}  ", patch.indent_at(span.start));
    let comments = patch.kept_comments(&span, &indent);
    (span, if comments.is_empty() { new } else { format!("{}{indent}{new}", comments.trim_start()) })
}
