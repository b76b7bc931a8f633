//! What would make the steps of a case say what came out.

use super::diff::Pair;
use crate::cases::rewrite::Edit;

/// The edits for a topic: `steps` are the indexes of the steps that expect its records, `nothing` that of a step that expects
/// none, `found` what came out, as steps.
pub fn of_topic(pairs: &[Pair], steps: &[usize], nothing: Option<usize>, found: Vec<String>) -> Vec<Edit> {
    let mut editor = Editor {
        edits: Vec::new(),
        // New steps come after those before; the first one of all takes the place of `expect-nothing`.
        anchor: steps.first().or(nothing.as_ref()).map_or(0, |first| first.saturating_sub(1)),
        missing: nothing.filter(|_| !found.is_empty()).into_iter().collect(),
        extra: Vec::new(),
    };
    let mut found: Vec<Option<String>> = found.into_iter().map(Some).collect();
    for pair in pairs {
        match pair {
            Pair::Same(at, _) => {
                editor.settle();
                editor.anchor = steps[*at];
            }
            Pair::Missing(at) => editor.missing.push(steps[*at]),
            Pair::Extra(at) => editor.extra.extend(found[*at].take()),
        }
    }
    editor.settle();
    editor.edits
}

struct Editor {
    edits: Vec<Edit>,
    /// The last step that stays.
    anchor: usize,
    /// Steps whose records did not come.
    missing: Vec<usize>,
    /// Records that came instead.
    extra: Vec<String>,
}

impl Editor {
    /// Replaces one by one, then removes or inserts the rest.
    fn settle(&mut self) {
        let replaced = self.missing.len().min(self.extra.len());
        for (step, text) in self.missing.drain(..replaced).zip(self.extra.drain(..replaced)) {
            self.edits.push(Edit::Replace(step, text));
            self.anchor = step;
        }
        self.edits.extend(self.missing.drain(..).map(Edit::Remove));
        if !self.extra.is_empty() {
            self.edits.push(Edit::InsertAfter(self.anchor, std::mem::take(&mut self.extra)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(pairs: &[Pair], nothing: Option<usize>, found: &[&str]) -> Vec<Edit> {
        of_topic(pairs, &[4, 5, 6], nothing, found.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn what_is_wrong_is_replaced_what_is_too_much_goes_and_the_rest_is_inserted() {
        use Pair::{Extra, Missing, Same};
        let replaced = edits(&[Same(0, 0), Missing(1), Extra(1), Same(2, 2)], None, &["a", "b", "c"]);
        assert_eq!(replaced, [Edit::Replace(5, "b".into())]);
        let removed = edits(&[Same(0, 0), Missing(1), Missing(2)], None, &["a"]);
        assert_eq!(removed, [Edit::Remove(5), Edit::Remove(6)]);
        let inserted =
            edits(&[Extra(0), Same(0, 1), Same(1, 2), Same(2, 3), Extra(4)], None, &["a", "b", "c", "d", "e"]);
        assert_eq!(inserted, [Edit::InsertAfter(3, vec!["a".into()]), Edit::InsertAfter(6, vec!["e".into()])]);
    }

    #[test]
    fn the_first_record_takes_the_place_of_nothing() {
        let found = vec!["a".to_owned(), "b".to_owned()];
        let edits = of_topic(&[Pair::Extra(0), Pair::Extra(1)], &[], Some(3), found);
        assert_eq!(edits, [Edit::Replace(3, "a".into()), Edit::InsertAfter(3, vec!["b".into()])]);
    }
}
