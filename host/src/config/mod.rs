//! The manifest: TOML text becomes settings and a topology, or a list of all its mistakes with their places.

mod fields;
mod keys;
mod mistake;
mod nearest;
mod nodes;
mod quantity;
mod reader;
mod schema;
mod secret;
mod settings;

use std::path::{Path, PathBuf};

use millstream_core::topology::Topology;

pub(crate) use mistake::Notes;
pub use mistake::{Mistake, Mistakes};
pub(crate) use nearest::hint;
pub(crate) use quantity::parse_duration;
pub use schema::json_schema;
pub use secret::{HIDDEN, KafkaProperties, UnresolvedReference, UnresolvedReferences};
pub use settings::{EffectiveSetting, GroupProtocol, InternalTopicSettings, PluginSettings, Settings, StateSettings};

/// An application, as its manifest describes it.
#[derive(Clone, Debug)]
pub struct Application {
    /// The manifest.
    pub path: PathBuf,
    /// How it runs.
    pub settings: Settings,
    /// What it does.
    pub topology: Topology,
    /// What is allowed but hardly wanted.
    pub warnings: Vec<Mistake>,
    /// Every value in force and where it came from; secrets are hidden.
    pub effective: Vec<EffectiveSetting>,
}

impl Application {
    /// A mistake that was found later, at the place of `key` in `table` (such as `plugins.words`).
    #[must_use]
    pub fn mistake_at(&self, table: &str, key: &str, message: String) -> Mistake {
        let place = self.effective.iter().find(|one| one.table == table && one.key == key).and_then(|one| one.place);
        let (line, column) = place.unwrap_or((0, 0));
        Mistake { line, column, message }
    }

    /// Components that are not there.
    #[must_use]
    pub fn missing_components(&self) -> Vec<Mistake> {
        let missing = self.settings.plugins.iter().filter(|(_, plugin)| !plugin.component.is_file());
        missing
            .map(|(name, plugin)| {
                let path = plugin.component.display();
                let message =
                    format!("`component` in [plugins.{name}]: there is no file {path}; build it, or correct the path");
                self.mistake_at(&format!("plugins.{name}"), "component", message)
            })
            .collect()
    }
}

/// Settings of the command line, stronger than the manifest's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Instead of `group-protocol`.
    pub group_protocol: Option<GroupProtocol>,
    /// Instead of `state-dir`; relative to the current folder.
    pub state_dir: Option<PathBuf>,
}

/// Reads the manifest at `path`. Nothing else is opened: neither components nor secrets.
///
/// # Errors
///
/// All mistakes.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Application, Mistakes> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("can't read the manifest: {error}; give the path of a TOML file");
        Mistakes { path: path.into(), mistakes: vec![Mistake { line: 0, column: 0, message }] }
    })?;
    parse(&text, path, overrides)
}

/// Reads a manifest from `text`; `path` is named in mistakes, and paths in the manifest are relative to its folder.
///
/// # Errors
///
/// All mistakes.
pub fn parse(text: &str, path: &Path, overrides: &Overrides) -> Result<Application, Mistakes> {
    reader::read(text, path, overrides)
}
