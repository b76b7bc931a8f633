//! Whether the paths and the make targets that a document names exist.

use crate::tree;

/// Every path and target of the document at `path` that is not there.
pub fn complaints(path: &str) -> Vec<String> {
    let Some(text) = tree::text(path) else {
        return vec![format!("{path} is missing")];
    };
    let makefile = tree::text("Makefile").unwrap_or_default();
    let mut complaints = Vec::new();
    for (line, span) in code_spans(&text) {
        for target in make_targets(&span) {
            if !makefile.lines().any(|rule| rule.starts_with(&format!("{target}:"))) {
                complaints.push(format!("{path}:{line}: there is no `make {target}`"));
            }
        }
        let named = span.split_whitespace().filter(|word| is_path_of_ours(word));
        complaints.extend(missing(named).map(|name| format!("{path}:{line}: there is no {name}")));
    }
    for (line, link) in links(&text) {
        complaints.extend(missing([link.as_str()]).map(|name| format!("{path}:{line}: the link {name} leads nowhere")));
    }
    complaints
}

fn missing<'a>(names: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    names
        .into_iter()
        .map(|name| name.trim_end_matches([',', '.', ';', ':', ')']))
        .filter(|name| !tree::root().join(name).exists())
}

/// A word that begins with a directory of the checkout and has no place holder.
fn is_path_of_ours(word: &str) -> bool {
    let placeholders = ['*', '<', '{', '$', '=', '('];
    let Some((first, _)) = word.trim_start_matches("./").split_once('/') else { return false };
    tree::is_own_directory(first) && !word.contains(placeholders)
}

/// The targets after `make` in a piece of code; variables and options are none.
fn make_targets(code: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut words = code.split_whitespace();
    while let Some(word) = words.next() {
        if word == "make" {
            let is_target =
                |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            targets.extend(words.next().filter(is_target).filter(|word| !word.starts_with('-')).map(str::to_owned));
        }
    }
    targets
}

/// What stands between back-ticks, and the lines of fenced blocks without their comments, with line numbers.
fn code_spans(text: &str) -> Vec<(usize, String)> {
    let mut spans = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let code = line.split(" # ").next().unwrap_or(line);
            spans.push((at + 1, code.trim_start_matches("$ ").to_owned()));
        } else {
            spans.extend(line.split('`').skip(1).step_by(2).map(|span| (at + 1, span.to_owned())));
        }
    }
    spans
}

/// The relative targets of links, without their anchors.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let relative = targets
            .map(|target| target.split('#').next().unwrap_or(target))
            .filter(|t| !t.is_empty() && !t.contains(':'));
        links.extend(relative.map(|target| (at + 1, target.to_owned())));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_links_are_read_from_markdown() {
        let text = "see `make run` and [the map](ARCHITECTURE.md#map)\n```sh\n$ make sim SEEDS=3 # make nothing\n```\nmake sense\n";
        let targets: Vec<_> = code_spans(text).iter().flat_map(|(_, code)| make_targets(code)).collect();
        assert_eq!(targets, ["run", "sim"]);
        assert_eq!(links(text), [(1, "ARCHITECTURE.md".to_owned())]);
    }

    #[test]
    fn only_paths_of_this_project_are_looked_up() {
        assert!(is_path_of_ours("tests/kafka/broker.sh"));
        assert!(!is_path_of_ours("plugins/fixture-*"));
        assert!(!is_path_of_ours("text/plain"));
    }
}
