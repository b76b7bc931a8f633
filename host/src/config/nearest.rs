//! "Did you mean": the known name that is nearest to one that is not known.

/// The nearest of `known`, if it is near enough that a slip of the hand explains it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance_max = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&normal(name), &normal(candidate)), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean ..?`, or nothing.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

/// Kafka Streams writes `commit.interval.ms` and `exactly_once_v2`; the manifest `commit-interval` and `exactly-once-v2`.
fn normal(name: &str) -> Vec<char> {
    let lower = name.to_lowercase().replace(['.', '_', ' '], "-");
    let plain = lower.strip_suffix("-ms").or_else(|| lower.strip_suffix("-bytes")).unwrap_or(&lower);
    plain.strip_prefix("num-").unwrap_or(plain).chars().collect()
}

/// The number of characters to insert, remove, replace, or swap with their neighbour, to make `one` into `other`.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, left) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, right) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(left != right);
            let mut best = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            let is_swap = row > 0 && column > 0 && one[row - 1] == *right && other[column - 1] == *left;
            if is_swap {
                best = best.min(before[column - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_the_names_of_kafka_streams_are_recognised() {
        let known = ["stream-threads", "state-dir", "state-memory", "commit-interval", "exactly-once-v2"];
        let cases = [
            ("stream-treads", Some("stream-threads")),
            ("num.stream.threads", Some("stream-threads")),
            ("commit.interval.ms", Some("commit-interval")),
            ("comit-intervla", Some("commit-interval")),
            ("exactly_once_v2", Some("exactly-once-v2")),
            ("exactly-once", Some("exactly-once-v2")),
            ("state-dri", Some("state-dir")),
            ("retention", None),
            ("x", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
