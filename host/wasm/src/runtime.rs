//! The engine: one for the process, shared by all plugins.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use millstream_core::error::{Error, Result};
use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use crate::cache::Cache;
use crate::component::Component;
use crate::imports::{self, HostState};
use crate::limits::{RuntimeLimits, STACK_BYTES_MAX};
use crate::load_error::LoadError;
use crate::ticker::Ticker;

/// From this size of a component on somebody who waits for it is told so: about half a second.
const LONG_COMPILATION_BYTES: usize = 1_000_000;

/// What a runtime is made of.
#[derive(Clone, Debug, Default)]
pub struct RuntimeSettings {
    /// Where compiled code is kept; `None` compiles each time. The directory must be this user's own: what lies there
    /// is run.
    pub cache_directory: Option<PathBuf>,
    /// Bounds of what is taken in.
    pub limits: RuntimeLimits,
}

/// Compiles plugins. Cheap to clone; the clones are the same runtime.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    ticker: Ticker,
    linker: Linker<HostState>,
    cache: Option<Cache>,
    limits: RuntimeLimits,
    /// What compiled code depends on besides the component.
    compatibility: u64,
}

impl Runtime {
    /// Makes a runtime, and starts the thread that makes deadlines pass; it ends with the runtime's last user.
    ///
    /// # Errors
    ///
    /// When the machine can't run Wasm, or the cache directory can't be made.
    pub fn new(settings: RuntimeSettings) -> Result<Self> {
        let engine = Engine::new(&config()).map_err(|error| not_supported(&error))?;
        let ticker = Ticker::start(engine.weak())?;
        let mut linker = Linker::new(&engine);
        imports::add_to_linker(&mut linker).map_err(|error| not_supported(&error))?;
        let cache = match &settings.cache_directory {
            None => None,
            Some(directory) => {
                let cache = Cache::open(directory, settings.limits.cache_bytes_max).map_err(|error| {
                    let path = directory.display();
                    Error::fatal(format!("the directory {path} for compiled plugins can't be used: name another"))
                        .caused_by(error)
                })?;
                Some(cache)
            }
        };
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hasher.finish();
        let shared = Shared { engine, ticker, linker, cache, limits: settings.limits, compatibility };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Loads the plugin in the file `path`.
    ///
    /// # Errors
    ///
    /// When it can't be read, or is no plugin for this host.
    pub fn load_file(&self, path: &Path) -> Result<Component, LoadError> {
        let read_error = |error| LoadError::Read { path: path.to_owned(), error };
        let (bytes, max) = (fs::metadata(path).map_err(read_error)?.len(), self.limits().component_bytes_max);
        if bytes > max as u64 {
            return Err(LoadError::Size { bytes, max });
        }
        let bytes = fs::read(path).map_err(read_error)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Component::load(self, &bytes, &name)
    }

    /// Loads a plugin: compiles it, unless that was done before, and asks it what it contains.
    ///
    /// # Errors
    ///
    /// When it is no plugin for this host.
    pub fn load(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        Component::load(self, bytes, "a plugin")
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.shared.ticker
    }

    pub(crate) fn linker(&self) -> &Linker<HostState> {
        &self.shared.linker
    }

    pub(crate) fn limits(&self) -> &RuntimeLimits {
        &self.shared.limits
    }

    /// The compiled form of a component, from the cache or made now. `name` is for whoever waits for it.
    pub(crate) fn compile(
        &self,
        bytes: &[u8],
        digest: &str,
        name: &str,
    ) -> wasmtime::Result<wasmtime::component::Component> {
        let Shared { engine, cache, compatibility, .. } = &*self.shared;
        let load = |compiled: &[u8]| deserialize(engine, compiled);
        if let Some(component) = cache.as_ref().and_then(|cache| cache.load(digest, *compatibility, load)) {
            tracing::debug!(digest, "took compiled plugin from the cache");
            return Ok(component);
        }
        let is_long = bytes.len() >= LONG_COMPILATION_BYTES;
        let size = format!("{:.1} MB", bytes.len() as f64 / 1e6);
        if is_long {
            let often =
                if cache.is_some() { "once for this version" } else { "each time, as there is no cache directory" };
            tracing::info!("compiling {name} ({size}), {often} ...");
        }
        let started = Instant::now();
        let component = wasmtime::component::Component::from_binary(engine, bytes)?;
        if is_long {
            tracing::info!("compiled {name} ({size}) in {:.1} s", started.elapsed().as_secs_f64());
        }
        if let Some(cache) = cache {
            cache.save(digest, *compatibility, &component.serialize()?);
        }
        Ok(component)
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Costs each call into a component about 500 ns, for concurrency that the contract doesn't have.
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        // A backtrace with the names of functions; line tables would make plugins many times larger.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
    config
}

#[allow(unsafe_code, reason = "compiled code can only be loaded so")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> Option<wasmtime::component::Component> {
    // SAFETY: `compiled` was made by `Component::serialize` of this program: it comes from a file in a directory that
    // only this user can write to, as the cache has checked, under a name that only `Cache::save` gives, with the digest
    // of its content in front of it, which was checked, too; the engine itself refuses code of another version or configuration.
    let component = unsafe { wasmtime::component::Component::deserialize(engine, compiled) };
    component.inspect_err(|error| tracing::warn!(%error, "compiled plugin can't be used, compiling again")).ok()
}

fn not_supported(error: &wasmtime::Error) -> Error {
    Error::fatal(format!("this machine can't run plugins: {error:#}"))
}
