//! Which names the broker accepts for topics, and so for everything that becomes part of one.

/// The most characters that a topic's name may have (Kafka's `Topic.MAX_NAME_LENGTH`: the name is a directory of the broker,
/// with a suffix of its own).
pub const TOPIC_NAME_LENGTH_MAX: usize = 249;

/// Checks that the broker accepts `name` for a topic.
///
/// # Errors
///
/// What is wrong with it, as a fragment that follows the name (Kafka's `Topic.validate`).
pub fn check_topic_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".into());
    }
    if name == "." || name == ".." {
        return Err("is not a name that a topic may have".into());
    }
    if name.len() > TOPIC_NAME_LENGTH_MAX {
        return Err(format!("has {} characters; a topic's name has at most {TOPIC_NAME_LENGTH_MAX}", name.len()));
    }
    let is_legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    match name.chars().find(|character| !is_legal(*character)) {
        Some(wrong) => Err(format!("contains {wrong:?}; only ASCII letters, digits, '.', '_' and '-' may be used")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_the_broker_judges_them() {
        for right in ["a", "TextLinesTopic", "a.b_c-1", "...", &"x".repeat(249)] {
            assert_eq!(check_topic_name(right), Ok(()), "{right}");
        }
        for wrong in ["", ".", "..", "a b", "ä", "a/b", "a:b", &"x".repeat(250)] {
            assert!(check_topic_name(wrong).is_err(), "{wrong}");
        }
    }
}
