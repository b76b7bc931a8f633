//! The regular expression of a source that reads all topics whose names match.

use regex_lite::Regex;

use crate::id::TopicName;

/// A compiled pattern. As in Kafka Streams it must match the whole name.
#[derive(Clone, Debug)]
pub struct TopicPattern(Regex);

impl TopicPattern {
    /// Compiles `pattern`.
    ///
    /// # Errors
    ///
    /// Why it is not a regular expression.
    pub fn new(pattern: &str) -> Result<Self, String> {
        // Compiled alone first: "a)(b" is wrong, though it would be right within the group.
        Regex::new(pattern)
            .and_then(|_| Regex::new(&format!("^(?:{pattern})$")))
            .map(Self)
            .map_err(|why| why.to_string())
    }

    /// Whether the whole of `topic` matches.
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        self.0.is_match(topic.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let pattern = TopicPattern::new("orders|orders-.*").expect("a pattern");
        for (topic, expected) in [("orders", true), ("orders-eu", true), ("orders2", false), ("my-orders", false)] {
            assert_eq!(pattern.matches(&TopicName::from(topic)), expected, "{topic}");
        }
        assert!(TopicPattern::new("a)(b").is_err());
        assert!(TopicPattern::new("[").is_err());
    }
}
