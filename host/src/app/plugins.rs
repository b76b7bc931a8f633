//! The plugins of an application: loaded, checked against the topology, and handed to every stream thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use millstream_core::processor::PluginFactory;
use millstream_core::topology::Topology;
use millstream_wasm::{InstanceLimits, Runtime, RuntimeSettings, WasmPlugins};

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
        let runtime =
            Runtime::new(RuntimeSettings { cache_directory: cache_directory(), ..RuntimeSettings::default() })?;
        let mut loaded = BTreeMap::new();
        let mut mistakes = Vec::new();
        for (name, plugin) in &settings.plugins {
            let started = Instant::now();
            match load(&runtime, plugin) {
                Ok(component) => {
                    let (digest, path) = (component.digest().to_owned(), plugin.component.display());
                    tracing::info!(plugin = %name, component = %path, %digest, took = ?started.elapsed(), "plugin loaded");
                    loaded.insert(name.clone(), (component, limits(plugin)));
                }
                Err(error) => mistakes.push(format!("plugin `{name}` ({}): {error}", plugin.component.display())),
            }
        }
        let plugins = WasmPlugins::new(loaded, Arc::clone(topology));
        for (node, error) in plugins.check().err().unwrap_or_default() {
            mistakes.push(format!("node `{node}`: {error}"));
        }
        if !mistakes.is_empty() {
            return Err(Failure::usage(anyhow::anyhow!("{}", mistakes.join("\nmillstream: "))));
        }
        Ok(Self { plugins, _runtime: runtime })
    }

    /// What makes the processors of one stream thread.
    #[must_use]
    pub fn factory(&self) -> Box<dyn PluginFactory> {
        Box::new(self.plugins.clone())
    }
}

fn load(runtime: &Runtime, plugin: &PluginSettings) -> Result<millstream_wasm::Component, String> {
    let component = runtime.load_file(&plugin.component).map_err(|error| error.to_string())?;
    let found = component.digest().trim_start_matches("sha256:");
    match &plugin.digest {
        Some(expected) if expected != found => Err(format!(
            "its digest is {found}, but the manifest asks for {expected}: deploy that version, or correct `digest`"
        )),
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
