//! What would make the steps of a case say what came out.

use millstream_core::id::TopicName;

use super::diff::Pair;
use crate::cases::rewrite::Edit;
use crate::cases::{Action, ExpectedRecord};

/// The edits for a topic: `steps` are the indexes of the steps that expect its records, `nothing` that of a step that expects
/// none, `found` what came out.
pub fn of_topic(
    topic: &TopicName,
    pairs: &[Pair],
    steps: &[usize],
    nothing: Option<usize>,
    found: Vec<ExpectedRecord>,
) -> Vec<Edit> {
    if let (true, None, [first, others @ ..]) = (found.is_empty(), nothing, steps) {
        let nothing = Edit::Replace(*first, Action::ExpectNothing(topic.clone()));
        return std::iter::once(nothing).chain(others.iter().copied().map(Edit::Remove)).collect();
    }
    let mut editor = Editor {
        edits: Vec::new(),
        // The first one of all takes the place of `expect-nothing`.
        place: steps.first().or(nothing.as_ref()).copied().unwrap_or_default(),
        missing: nothing.filter(|_| !found.is_empty()).into_iter().collect(),
        extra: Vec::new(),
    };
    let mut found: Vec<Option<ExpectedRecord>> = found.into_iter().map(Some).collect();
    for pair in pairs {
        match pair {
            Pair::Same(at, _) => {
                editor.settle();
                editor.place = steps[*at] + 1;
            }
            Pair::Missing(at) => editor.missing.push(steps[*at]),
            Pair::Extra(at) => editor.extra.extend(found[*at].take().map(Action::Expect)),
        }
    }
    editor.settle();
    editor.edits
}

struct Editor {
    edits: Vec<Edit>,
    /// Where new steps go: behind the last one that stays.
    place: usize,
    /// Steps whose records did not come.
    missing: Vec<usize>,
    /// Records that came instead.
    extra: Vec<Action>,
}

impl Editor {
    /// Replaces one by one, then removes or inserts the rest.
    fn settle(&mut self) {
        let replaced = self.missing.len().min(self.extra.len());
        for (step, record) in self.missing.drain(..replaced).zip(self.extra.drain(..replaced)) {
            self.edits.push(Edit::Replace(step, record));
            self.place = step + 1;
        }
        self.edits.extend(self.missing.drain(..).map(Edit::Remove));
        if !self.extra.is_empty() {
            self.edits.push(Edit::Insert(self.place, std::mem::take(&mut self.extra)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::bytes::{Expected, Form};

    fn record(key: &str) -> ExpectedRecord {
        let key = Expected::Bytes(key.as_bytes().to_vec(), Form::Text);
        let (value, topic) = (Expected::Null, "t".into());
        ExpectedRecord { topic, key, value, timestamp: None, headers: None, partition: None }
    }

    fn expect(key: &str) -> Action {
        Action::Expect(record(key))
    }

    fn edits(pairs: &[Pair], found: &[&str]) -> Vec<Edit> {
        of_topic(&"t".into(), pairs, &[4, 5, 6], None, found.iter().map(|key| record(key)).collect())
    }

    #[test]
    fn what_is_wrong_is_replaced_what_is_too_much_goes_and_the_rest_is_inserted() {
        use Pair::{Extra, Missing, Same};
        let replaced = edits(&[Same(0, 0), Missing(1), Extra(1), Same(2, 2)], &["a", "b", "c"]);
        assert_eq!(replaced, [Edit::Replace(5, expect("b"))]);
        let removed = edits(&[Same(0, 0), Missing(1), Missing(2)], &["a"]);
        assert_eq!(removed, [Edit::Remove(5), Edit::Remove(6)]);
        let inserted = edits(&[Extra(0), Same(0, 1), Same(1, 2), Same(2, 3), Extra(4)], &["a", "b", "c", "d", "e"]);
        assert_eq!(inserted, [Edit::Insert(4, vec![expect("a")]), Edit::Insert(7, vec![expect("e")])]);
    }

    #[test]
    fn the_first_record_takes_the_place_of_nothing_and_nothing_that_of_the_first() {
        let found = vec![record("a"), record("b")];
        let replaced = of_topic(&"t".into(), &[Pair::Extra(0), Pair::Extra(1)], &[], Some(3), found);
        assert_eq!(replaced, [Edit::Replace(3, expect("a")), Edit::Insert(4, vec![expect("b")])]);
        let emptied = edits(&[Pair::Missing(0), Pair::Missing(1), Pair::Missing(2)], &[]);
        assert_eq!(emptied, [Edit::Replace(4, Action::ExpectNothing("t".into())), Edit::Remove(5), Edit::Remove(6)]);
    }
}
