//! Values that name secrets, `${env:NAME}` and `${file:PATH}`: kept as references, resolved late, never printed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is printed instead of a secret.
pub const HIDDEN: &str = "[hidden]";

/// The `[kafka]` table: properties whose values may refer to secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaProperties {
    /// The manifest's folder, which paths in `${file:PATH}` are relative to.
    folder: PathBuf,
    values: BTreeMap<String, String>,
}

/// A reference to a secret that can't be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedReference {
    /// The property.
    pub key: String,
    /// Why, and what to do.
    pub reason: String,
}

/// All references that can't be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedReferences(pub Vec<UnresolvedReference>);

impl fmt::Display for UnresolvedReferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reference) in self.0.iter().enumerate() {
            write!(f, "{}{reference}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnresolvedReferences {}

impl fmt::Display for UnresolvedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in [kafka]: {}", self.key, self.reason)
    }
}

impl std::error::Error for UnresolvedReference {}

impl KafkaProperties {
    pub(super) fn new(folder: &Path, values: BTreeMap<String, String>) -> Self {
        Self { folder: folder.into(), values }
    }

    /// The properties as they are written: references are not resolved, and secrets that are written there are hidden.
    pub fn redacted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), redact(key, value)))
    }

    /// The properties with secrets in place of their references. What it returns must not be printed.
    ///
    /// # Errors
    ///
    /// All references that can't be resolved.
    pub fn resolve(&self) -> Result<BTreeMap<String, String>, UnresolvedReferences> {
        let mut resolved = BTreeMap::new();
        let mut unresolved = Vec::new();
        for (key, value) in &self.values {
            match substitute(value, |reference| self.lookup(reference)) {
                Ok(value) => drop(resolved.insert(key.clone(), value)),
                Err(reason) => unresolved.push(UnresolvedReference { key: key.clone(), reason }),
            }
        }
        if unresolved.is_empty() { Ok(resolved) } else { Err(UnresolvedReferences(unresolved)) }
    }

    fn lookup(&self, reference: &Reference<'_>) -> Result<String, String> {
        match reference {
            Reference::Environment(name) => std::env::var(name).map_err(|_| {
                format!("environment variable {name} is not set, or not text; set it where the host is started")
            }),
            Reference::File(path) => {
                let path = self.folder.join(path);
                let text = std::fs::read_to_string(&path);
                // Editors and `echo` end a file with a newline that is no part of the secret.
                text.map(|text| text.trim_end_matches(['\n', '\r']).to_owned()).map_err(|error| {
                    format!("can't read {}: {error}; check the path and who may read it", path.display())
                })
            }
        }
    }
}

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.redacted()).finish()
    }
}

/// Something that is to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference<'a> {
    Environment(&'a str),
    File(&'a str),
}

/// Checks the references in `value` without resolving them.
pub(super) fn check(value: &str) -> Result<(), String> {
    substitute(value, |_| Ok(String::new())).map(drop)
}

/// Whether a property of this name is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    ["password", "secret", "token", "jaas", "key.pem", "sasl.oauthbearer.config"].iter().any(|part| key.contains(part))
}

/// Whether `value` has no reference in it.
pub(super) fn is_written_out(value: &str) -> bool {
    !value.contains("${")
}

/// `value`, unless it is a secret that is written out.
pub(super) fn redact<'a>(key: &str, value: &'a str) -> &'a str {
    if is_secret(key) && is_written_out(value) { HIDDEN } else { value }
}

fn substitute(value: &str, lookup: impl Fn(&Reference<'_>) -> Result<String, String>) -> Result<String, String> {
    let mut result = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inside, tail)) = after.split_once('}') else {
            return Err("a reference begins with `${` but has no `}`".into());
        };
        let reference = match inside.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Reference::Environment(name),
            Some(("file", path)) if !path.is_empty() => Reference::File(path),
            _ => return Err(format!("`${{{inside}}}` is no reference; use ${{env:NAME}} or ${{file:PATH}}")),
        };
        result.push_str(before);
        result.push_str(&lookup(&reference)?);
        rest = tail;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_wherever_they_stand() {
        let lookup = |reference: &Reference<'_>| match reference {
            Reference::Environment(name) => Ok(format!("<{name}>")),
            Reference::File(path) => Ok(format!("[{path}]")),
        };
        assert_eq!(substitute("a${env:X}b${file:/y}c$", lookup).as_deref(), Ok("a<X>b[/y]c$"));
        for wrong in ["${env:}", "${X}", "${env:X", "${vault:x}"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let values = [("sasl.password", "hunter2"), ("ssl.key.password", "${env:P}"), ("client.id", "x")];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let properties = KafkaProperties::new(Path::new("."), BTreeMap::from(values));
        let text = format!("{properties:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("${env:P}") && text.contains(HIDDEN), "{text}");
    }
}
