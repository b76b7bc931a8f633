//! Who may depend on whom, read from the Cargo.toml files.

use crate::tree::{self, Tree};

/// The crates that each wrap one heavy thing; they never meet but in host/src/app.rs.
pub const ADAPTERS: [&str; 4] = ["embedded", "kafka", "state", "wasm"];

/// A library, and the only directories whose crates may name it; deny.toml says the same. The tests and the bench write their inputs,
/// and measure, with a Kafka client that is not ours.
const HEAVY: [(&str, &[&str]); 6] = [
    ("rdkafka", &["host/kafka", "tests", "bench"]),
    ("rdkafka-sys", &["host/kafka"]),
    ("rocksdb", &["host/state"]),
    ("librocksdb-sys", &["host/state"]),
    ("wasmtime", &["host/wasm"]),
    ("wasmtime-wasi", &["host/wasm"]),
];

/// Ours, and no adapter: the core, and what turns plugins into components, which the tests of host/wasm need.
const FOR_ADAPTERS: [&str; 2] = ["millstream-core", "millstream-build"];

/// What the core does without.
const NOT_FOR_CORE: [&str; 6] = ["tokio", "serde", "serde_json", "toml", "anyhow", "rand"];

/// Every dependency that goes the wrong way.
pub fn complaints() -> Vec<String> {
    let manifests = Tree::of_the_project()
        .files()
        .filter(|path| path.ends_with("Cargo.toml"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let mut complaints = Vec::new();
    for path in manifests {
        let directory = path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        for name in dependencies(&tree::text(&path).unwrap_or_default()) {
            if let Some(reason) = wrong(directory, &name) {
                complaints.push(format!("{path}: `{name}`: {reason}"));
            }
        }
    }
    complaints
}

/// Why the crate in `directory` may not depend on `name`.
fn wrong(directory: &str, name: &str) -> Option<String> {
    if let Some((_, owners)) = HEAVY.iter().find(|(library, owners)| *library == name && !owners.contains(&directory)) {
        return Some(format!("only {} may use it", owners.join(" and ")));
    }
    let ours = name.starts_with("millstream");
    if directory == "host/core" && (ours || NOT_FOR_CORE.contains(&name)) {
        return Some("the core stands alone".to_owned());
    }
    let is_adapter = ADAPTERS.iter().any(|adapter| directory == format!("host/{adapter}"));
    if is_adapter && ours && !FOR_ADAPTERS.contains(&name) {
        return Some("an adapter knows the core and no other adapter".to_owned());
    }
    let is_guest = directory.starts_with("guest-sdk/") || directory.starts_with("plugins");
    let host_crates = ["millstream", "millstream-core", "millstream-tests"];
    let is_host_crate =
        host_crates.contains(&name) || ADAPTERS.iter().any(|adapter| name == format!("millstream-{adapter}"));
    (is_guest && is_host_crate).then(|| "a guest knows wit/ and nothing of the host".to_owned())
}

/// The names in all tables of dependencies, those of the workspace (which only give versions) excepted.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            let is_list = header.ends_with("dependencies") && !header.starts_with("workspace");
            inside = is_list;
            if let Some((table, name)) = header.rsplit_once('.')
                && table.ends_with("dependencies")
                && !table.starts_with("workspace")
            {
                names.push(name.trim_matches('"').to_owned());
            }
        } else if inside && line.contains('=') && line.starts_with(|c: char| c.is_alphabetic() || c == '"') {
            let name: String =
                line.trim_matches('"').chars().take_while(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_every_kind_of_table() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { version = \"1\" }\n\
            [target.'cfg(unix)'.dev-dependencies]\nc = \"1\"\n[dependencies.d]\nversion = \"1\"\n[workspace.dependencies]\ne = \"1\"\n";
        assert_eq!(dependencies(manifest), ["a", "b", "c", "d"]);
    }

    #[test]
    fn wrong_ways_are_told_from_right_ones() {
        for (directory, name) in [
            ("host", "rdkafka"),
            ("host/core", "serde"),
            ("host/core", "millstream-kafka"),
            ("host/kafka", "millstream-state"),
            ("plugins/words", "millstream-core"),
        ] {
            assert!(wrong(directory, name).is_some(), "{directory} -> {name}");
        }
        for (directory, name) in [
            ("host", "millstream-kafka"),
            ("host/kafka", "rdkafka"),
            ("host/kafka", "millstream-core"),
            ("plugins/words", "millstream-guest"),
        ] {
            assert!(wrong(directory, name).is_none(), "{directory} -> {name}");
        }
    }
}
