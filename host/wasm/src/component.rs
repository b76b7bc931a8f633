//! A plugin, compiled: checked, linked and asked what it contains; instances are made from it.

use std::fmt;
use std::sync::Arc;

use millstream_core::error::ProcessorFailure;
use sha2::{Digest, Sha256};
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::exports::key_selector::{KeySelectorExports, KeySelectorExportsIndices};
use crate::exports::predicate::{PredicateExports, PredicateExportsIndices};
use crate::exports::processor::{ProcessorExports, ProcessorExportsIndices};
use crate::imports::{Granted, HostState, INTERFACES, Log, Origin, PACKAGE, VERSION, interface, is_wasi};
use crate::instance::Instance;
use crate::limits::{InstanceLimits, NAME_BYTES_MAX, NAMES_MAX};
use crate::load_error::LoadError;
use crate::runtime::Runtime;
use crate::ticker::Ticker;

/// The interfaces of which a plugin exports at least one.
const EXPORTS: [&str; 3] = ["processor", "predicate", "key-selector"];

const MAGIC: &[u8] = b"\0asm";
/// Marks a component in byte 6, where a core module has 0.
const COMPONENT_LAYER: u8 = 1;

/// A plugin, compiled. Cheap to clone; instances can be made from any thread.
#[derive(Clone)]
pub struct Component {
    shared: Arc<Shared>,
}

struct Shared {
    ticker: Ticker,
    pre: InstancePre<HostState>,
    digest: Arc<str>,
    processor: Option<ProcessorExportsIndices>,
    predicate: Option<PredicateExportsIndices>,
    key_selector: Option<KeySelectorExportsIndices>,
    processors: Vec<String>,
    predicates: Vec<String>,
    key_selectors: Vec<String>,
    imports: Vec<String>,
    bytes: usize,
    memory_bytes: usize,
}

impl Component {
    pub(crate) fn load(runtime: &Runtime, bytes: &[u8], name: &str) -> Result<Self, LoadError> {
        check_form(bytes, runtime.limits().component_bytes_max)?;
        let hexadecimal: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let compiled = runtime.compile(bytes, &hexadecimal, name);
        let compiled = compiled.map_err(|error| LoadError::Invalid { reason: format!("{error:#}") })?;
        let engine = runtime.engine();
        let kind = compiled.component_type();
        check_exports(kind.exports(engine).map(|(name, _)| name))?;
        let imports: Vec<String> = kind.imports(engine).map(|(name, _)| name.to_owned()).collect();
        check_imports(imports.iter().map(String::as_str))?;
        let mismatch =
            |error: wasmtime::Error| LoadError::Mismatch { expected: Self::contract(), reason: format!("{error:#}") };
        let pre = runtime.linker().instantiate_pre(&compiled).map_err(mismatch)?;
        let exports = |name: &str| compiled.get_export_index(None, interface(name)).is_some();
        let processor = exports("processor").then(|| ProcessorExportsIndices::new(&pre)).transpose();
        let predicate = exports("predicate").then(|| PredicateExportsIndices::new(&pre)).transpose();
        let key_selector = exports("key-selector").then(|| KeySelectorExportsIndices::new(&pre)).transpose();
        let shared = Shared {
            ticker: runtime.ticker().clone(),
            pre,
            digest: format!("sha256:{hexadecimal}").into(),
            processor: processor.map_err(mismatch)?,
            predicate: predicate.map_err(mismatch)?,
            key_selector: key_selector.map_err(mismatch)?,
            processors: Vec::new(),
            predicates: Vec::new(),
            key_selectors: Vec::new(),
            imports,
            bytes: bytes.len(),
            memory_bytes: 0,
        };
        shared.with_names().map(|shared| Self { shared: Arc::new(shared) })
    }

    /// `sha256:` and the digest of the component's bytes, by which versions are told apart.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.shared.digest
    }

    /// The contract that this host serves: its package and version.
    #[must_use]
    pub fn contract() -> String {
        format!("{PACKAGE}@{VERSION}")
    }

    /// The worlds of `wit/world.wit` that it is of.
    #[must_use]
    pub fn worlds(&self) -> Vec<String> {
        let Shared { processor, predicate, key_selector, .. } = &*self.shared;
        let exported = [processor.is_some(), predicate.is_some(), key_selector.is_some()];
        let names = EXPORTS.iter().zip(exported).filter(|(_, exported)| *exported);
        names.map(|(name, _)| format!("plugin-{name}")).collect()
    }

    /// The interfaces that it imports, with their versions.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.shared.imports
    }

    /// The component's size.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.shared.bytes
    }

    /// Bytes of memory that an instance takes when it is made.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.shared.memory_bytes
    }

    /// The processors that it contains.
    #[must_use]
    pub fn processors(&self) -> &[String] {
        &self.shared.processors
    }

    /// The predicates that it contains.
    #[must_use]
    pub fn predicates(&self) -> &[String] {
        &self.shared.predicates
    }

    /// The key selectors that it contains.
    #[must_use]
    pub fn key_selectors(&self) -> &[String] {
        &self.shared.key_selectors
    }

    /// The processor that a node asks for: the named one, or the only one.
    ///
    /// # Errors
    ///
    /// When there is none of that name, or several and the node names none.
    pub fn choose_processor<'a>(&'a self, name: Option<&'a str>) -> Result<&'a str, LoadError> {
        choose("processor", &self.shared.processors, name)
    }

    /// The predicate that a node asks for, as [`Self::choose_processor`].
    ///
    /// # Errors
    ///
    /// As [`Self::choose_processor`].
    pub fn choose_predicate<'a>(&'a self, name: Option<&'a str>) -> Result<&'a str, LoadError> {
        choose("predicate", &self.shared.predicates, name)
    }

    /// The key selector that a node asks for, as [`Self::choose_processor`].
    ///
    /// # Errors
    ///
    /// As [`Self::choose_processor`].
    pub fn choose_key_selector<'a>(&'a self, name: Option<&'a str>) -> Result<&'a str, LoadError> {
        choose("key selector", &self.shared.key_selectors, name)
    }

    pub(crate) fn instantiate_processor(
        &self,
        limits: &InstanceLimits,
        log: Log,
        granted: Granted,
    ) -> Result<(Instance, ProcessorExports), ProcessorFailure> {
        let Shared { processor, .. } = &*self.shared;
        self.shared.instantiate(limits, log, granted, |store, live| loaded(processor.as_ref())?.load(store, live))
    }

    pub(crate) fn instantiate_predicate(
        &self,
        limits: &InstanceLimits,
        log: Log,
    ) -> Result<(Instance, PredicateExports), ProcessorFailure> {
        let Shared { predicate, .. } = &*self.shared;
        self.shared
            .instantiate(limits, log, Granted::default(), |store, live| loaded(predicate.as_ref())?.load(store, live))
    }

    pub(crate) fn instantiate_key_selector(
        &self,
        limits: &InstanceLimits,
        log: Log,
    ) -> Result<(Instance, KeySelectorExports), ProcessorFailure> {
        let Shared { key_selector, .. } = &*self.shared;
        self.shared.instantiate(limits, log, Granted::default(), |store, live| {
            loaded(key_selector.as_ref())?.load(store, live)
        })
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.digest())
            .field("processors", &self.processors())
            .field("predicates", &self.predicates())
            .field("key_selectors", &self.key_selectors())
            .finish()
    }
}

impl Shared {
    fn instantiate<B>(
        &self,
        limits: &InstanceLimits,
        log: Log,
        granted: Granted,
        bind: impl FnOnce(&mut Store<HostState>, &wasmtime::component::Instance) -> wasmtime::Result<B>,
    ) -> Result<(Instance, B), ProcessorFailure> {
        Instance::new(&self.ticker, &self.pre, &self.digest, limits, log, granted, bind)
    }

    /// Asks an instance, made for this only, what the component contains.
    fn with_names(mut self) -> Result<Self, LoadError> {
        let limits = InstanceLimits::default();
        let log = || Log::new(Origin::new(["", &*self.digest, "", ""]));
        let failed = |failure: ProcessorFailure| LoadError::Inspect { reason: failure.to_string() };
        let (mut processors, mut predicates, mut key_selectors) = (Vec::new(), Vec::new(), Vec::new());
        let mut memory_bytes = 0;
        if let Some(indices) = &self.processor {
            let (mut instance, exports) = self
                .instantiate(&limits, log(), Granted::default(), |store, live| indices.load(store, live))
                .map_err(failed)?;
            let exports = exports.millstream_processor_processor();
            memory_bytes = memory_bytes.max(instance.memory_bytes());
            processors = instance.call(None, |store| exports.call_processors(store)).map_err(failed)?;
        }
        if let Some(indices) = &self.predicate {
            let (mut instance, exports) = self
                .instantiate(&limits, log(), Granted::default(), |store, live| indices.load(store, live))
                .map_err(failed)?;
            let exports = exports.millstream_processor_predicate();
            memory_bytes = memory_bytes.max(instance.memory_bytes());
            predicates = instance.call(None, |store| exports.call_predicates(store)).map_err(failed)?;
        }
        if let Some(indices) = &self.key_selector {
            let (mut instance, exports) = self
                .instantiate(&limits, log(), Granted::default(), |store, live| indices.load(store, live))
                .map_err(failed)?;
            let exports = exports.millstream_processor_key_selector();
            memory_bytes = memory_bytes.max(instance.memory_bytes());
            key_selectors = instance.call(None, |store| exports.call_key_selectors(store)).map_err(failed)?;
        }
        for (kind, names, is_exported) in [
            ("processor", &processors, self.processor.is_some()),
            ("predicate", &predicates, self.predicate.is_some()),
            ("key selector", &key_selectors, self.key_selector.is_some()),
        ] {
            check_names(names)?;
            if is_exported && names.is_empty() {
                return Err(LoadError::NoNames { kind });
            }
        }
        self.processors = processors;
        self.predicates = predicates;
        self.key_selectors = key_selectors;
        self.memory_bytes = memory_bytes;
        Ok(self)
    }
}

fn loaded<I>(indices: Option<&I>) -> wasmtime::Result<&I> {
    indices.ok_or_else(|| wasmtime::Error::msg("the plugin doesn't export this"))
}

/// Tells apart, before the compiler does in its own words, what people take for a component.
fn check_form(bytes: &[u8], max: usize) -> Result<(), LoadError> {
    if bytes.len() > max {
        return Err(LoadError::Size { bytes: bytes.len() as u64, max });
    }
    if !bytes.starts_with(MAGIC) {
        let head = &bytes[..bytes.len().min(8)];
        let found = if head.is_empty() { "nothing".to_owned() } else { format!("`{}`", head.escape_ascii()) };
        return Err(LoadError::NotWasm { found });
    }
    match bytes.get(6) {
        Some(&COMPONENT_LAYER) => Ok(()),
        Some(_) => Err(LoadError::CoreModule),
        None => Err(LoadError::Invalid { reason: "it ends after its first bytes".to_owned() }),
    }
}

fn check_exports<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), LoadError> {
    let names: Vec<&str> = names.collect();
    if names.iter().any(|name| EXPORTS.iter().any(|export| *name == interface(export))) {
        return Ok(());
    }
    for name in &names {
        check_version(name, &EXPORTS)?;
    }
    let exports = if names.is_empty() { "nothing".to_owned() } else { quoted(names.iter()) };
    Err(LoadError::NoPlugin { exports, expected: quoted(EXPORTS.map(interface).iter()) })
}

/// Refuses another version of an interface of ours.
fn check_version(name: &str, known: &[&str]) -> Result<(), LoadError> {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    let ours = path.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/'));
    if let Some(ours) = ours.filter(|ours| known.contains(ours))
        && !is_compatible(version)
    {
        let (found, expected) = (format!("`{name}`"), format!("`{}`", interface(ours)));
        let advice = if is_newer(version) {
            "use a newer Millstream, or build it again with the SDK of this version"
        } else {
            "build it again with the SDK of this version"
        };
        return Err(LoadError::Version { found, expected, advice });
    }
    Ok(())
}

/// Whether a version comes after ours.
fn is_newer(version: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(|number| number.parse().unwrap_or(0)).collect::<Vec<u32>>();
    numbers(version) > numbers(VERSION)
}

/// Within 0.1 a host serves what was made for its own patch version or an earlier one.
fn is_compatible(version: &str) -> bool {
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    minor(version) == minor(VERSION) && !is_newer(version)
}

fn check_imports<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), LoadError> {
    let mut unknown = Vec::new();
    for name in names {
        check_version(name, &INTERFACES)?;
        let path = name.split_once('@').map_or(name, |(path, _)| path);
        let is_ours = INTERFACES.iter().any(|known| path == format!("{PACKAGE}/{known}"));
        if !is_ours && !is_wasi(name) {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let advice = if unknown.iter().any(|name| name.starts_with("wasi:")) {
        "of WASI they get version 0.2 of cli, clocks, filesystem, io, random and sockets (with nothing to reach through \
         them); leave the rest out of the build"
    } else {
        "build it for one of the worlds in `wit/world.wit`"
    };
    Err(LoadError::UnknownImports { imports: quoted(unknown.iter()), advice })
}

fn check_names(names: &[String]) -> Result<(), LoadError> {
    let refuse = |reason: String| Err(LoadError::Inspect { reason });
    if names.len() > NAMES_MAX {
        return refuse(format!("it lists {} names, but at most {NAMES_MAX} are allowed", names.len()));
    }
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return refuse(format!("it lists the name {name:?}: names have 1 to {NAME_BYTES_MAX} printable bytes"));
        }
        if names[..index].contains(name) {
            return refuse(format!("it lists the name `{name}` twice"));
        }
    }
    Ok(())
}

fn choose<'a>(kind: &'static str, names: &'a [String], name: Option<&str>) -> Result<&'a str, LoadError> {
    match (name, names) {
        (None, [only]) => Ok(only),
        (None, [_, _, ..]) => Err(LoadError::Ambiguous { kind, found: quoted(names.iter()) }),
        (name, _) => {
            let Some(name) = name else { return Err(LoadError::NoneOfKind { kind }) };
            let found = if names.is_empty() { format!("no {kind} at all") } else { quoted(names.iter()) };
            let chosen = names.iter().find(|other| *other == name).map(String::as_str);
            chosen.ok_or_else(|| LoadError::NoSuchName { kind, name: name.to_owned(), found })
        }
    }
}

/// Names in back-quotes.
pub(crate) fn quoted<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    names.map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}
