//! The plugins of an application: loaded, checked against the topology, and handed to every stream thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::processor::PluginFactory;
use millstream_core::topology::Topology;
use millstream_wasm::{Component, InstanceLimits, NodeTrial, Runtime, RuntimeSettings, WasmPlugins};

use crate::config::{PluginSettings, Settings};
use crate::failure::Failure;

/// The share of an instance's memory past which it is replaced at the next commit: linear memory never shrinks.
const RECYCLE_SHARE: f64 = 0.75;

/// See the file's documentation.
pub struct PluginSet {
    plugins: WasmPlugins,
    /// Holds the thread that makes deadlines pass.
    _runtime: Runtime,
}

impl PluginSet {
    /// Loads the plugins that `settings` name, compiling those that were not compiled before.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of them.
    pub fn load(settings: &Settings, topology: &Arc<Topology>) -> Result<Self, Failure> {
        let (set, mistakes) = Self::try_load(settings, topology)?;
        if !mistakes.is_empty() {
            let messages: Vec<String> = mistakes.into_iter().map(|mistake| mistake.message).collect();
            return Err(Failure::usage(anyhow::anyhow!("{}", messages.join("\nmillstream: "))));
        }
        for (name, component) in set.components() {
            let path = settings.plugins[name].component.display();
            tracing::info!(plugin = %name, component = %path, digest = component.digest(), "plugin loaded");
        }
        Ok(set)
    }

    /// Loads those plugins that are right, and tells everything that is wrong.
    ///
    /// # Errors
    ///
    /// When no plugin could run on this machine.
    pub fn try_load(settings: &Settings, topology: &Arc<Topology>) -> Result<(Self, Vec<PluginMistake>), Failure> {
        let runtime = plugin_runtime()?;
        let mut loaded = BTreeMap::new();
        let mut mistakes = Vec::new();
        for (name, plugin) in &settings.plugins {
            match load(&runtime, plugin) {
                Ok(component) => drop(loaded.insert(name.clone(), (component, limits(plugin)))),
                Err((key, error)) => {
                    let message = format!("plugin `{name}` ({}): {error}", plugin.component.display());
                    mistakes.push(PluginMistake { table: format!("plugins.{name}"), key, message });
                }
            }
        }
        let plugins = WasmPlugins::new(loaded, Arc::clone(topology));
        for (node, error) in plugins.check().err().unwrap_or_default() {
            let (table, message) = (format!("processors.{node}"), format!("node `{node}`: {error}"));
            mistakes.push(PluginMistake { table, key: "plugin", message });
        }
        Ok((Self { plugins, _runtime: runtime }, mistakes))
    }

    /// The plugins that were loaded, by name.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Component)> {
        self.plugins.components()
    }

    /// Tries each node of a plugin, with stores in memory.
    #[must_use]
    pub fn try_nodes(&self) -> Vec<NodeTrial> {
        self.plugins.try_nodes()
    }

    /// What makes the processors of one stream thread.
    #[must_use]
    pub fn factory(&self) -> Box<dyn PluginFactory> {
        Box::new(self.plugins.clone())
    }
}

/// What is wrong with a plugin, or with a node that uses it, and where in the manifest that was asked for.
#[derive(Clone, Debug)]
pub struct PluginMistake {
    /// The table, such as `plugins.words`.
    pub table: String,
    /// The key in it.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What compiles plugins, and keeps the compiled code for this user.
///
/// # Errors
///
/// When this machine can't run plugins.
pub fn plugin_runtime() -> Result<Runtime, Failure> {
    Ok(Runtime::new(RuntimeSettings { cache_directory: cache_directory(), ..RuntimeSettings::default() })?)
}

/// Loads a plugin; an error says at which key.
fn load(runtime: &Runtime, plugin: &PluginSettings) -> Result<Component, (&'static str, String)> {
    let component = runtime.load_file(&plugin.component).map_err(|error| ("component", error.to_string()))?;
    let found = component.digest().trim_start_matches("sha256:");
    match &plugin.digest {
        Some(expected) if expected != found => {
            let expected = format!("the manifest asks for {expected}: deploy that version, or correct `digest`");
            Err(("digest", format!("its digest is {found}, but {expected}")))
        }
        _ => Ok(component),
    }
}

fn limits(plugin: &PluginSettings) -> InstanceLimits {
    let memory_bytes_max = usize::try_from(plugin.memory_bytes_max).unwrap_or(usize::MAX);
    let recycle_bytes = (memory_bytes_max as f64 * RECYCLE_SHARE) as usize;
    InstanceLimits { memory_bytes_max, recycle_bytes, deadline: plugin.deadline }
}

/// Where compiled plugins are kept: `MILLSTREAM_CACHE_DIR`, or the user's cache. Without either they are compiled each time.
fn cache_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let directory = variable("MILLSTREAM_CACHE_DIR").or_else(|| Some(user()?.join("millstream")))?;
    Some(directory.join("compiled"))
}
