//! `millstream build`: a plugin's sources, or a core module of any language, become a component, without any tool but
//! the language's own compiler.
//!
//! 1. [`Language::of`] a directory is told by what is in it. Its compiler makes core modules; what is missing for that
//!    is named, with the command that installs it ([`Missing`]).
//! 2. Each core module becomes a component ([`component`]) and is written beside the plugin's sources, if it has
//!    changed.

mod c;
pub mod component;
mod contract;
mod error;
mod fetched;
mod go;
mod install;
mod javascript;
mod language;
mod python;
mod rust;
mod stamp;
mod toolchain;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

pub use contract::{WIT_FILES, WORLDS};
pub use error::{Error, Result};
pub use install::Missing;
pub use language::Language;
pub use toolchain::{StandardLibrary, Toolchain};

/// What is to be built.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The directory of a plugin or of several, or a core module.
    pub source: PathBuf,
    /// Where the component goes; by default `target/components/<name>.wasm` in the plugin's directory (a Rust plugin's: in
    /// its workspace), or beside the module.
    pub out: Option<PathBuf>,
    /// The world of a core module that doesn't say it itself.
    pub world: Option<String>,
    /// Whether what is missing of a tool chain is installed.
    pub install: bool,
}

/// A component that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The plugin's name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What the compiler made.
    pub made_as: Form,
    /// Its size in bytes.
    pub bytes: usize,
    /// `sha256:` and its digest in hexadecimal, by which versions of a plugin are told apart.
    pub digest: String,
    /// Whether it differs from what was there before.
    pub is_new: bool,
}

/// Builds what `request` asks for; `report` is given a line for each step that may take time. What compilers say goes
/// to standard error.
///
/// # Errors
///
/// See [`Error`]. Nothing is written for a plugin that can't be built.
pub fn build(request: &Request, report: &mut dyn FnMut(&str)) -> Result<Vec<Built>> {
    let source = &request.source;
    if let Some(out) = request.out.as_ref().filter(|out| out.is_dir()) {
        return Err(Error::OutIsDirectory { path: out.clone() });
    }
    if source.is_dir() {
        return build_directory(request, report);
    }
    let module = fs::read(source).map_err(|error| Error::Read { path: source.clone(), error })?;
    let name = source.file_stem().map_or_else(|| "plugin".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let out = request.out.clone().unwrap_or_else(|| source.with_file_name(format!("{name}.component.wasm")));
    let component = component::from_core_module(&module, request.world.as_deref(), source)?;
    Ok(vec![write(name, Form::Module, &component, &out)?])
}

fn build_directory(request: &Request, report: &mut dyn FnMut(&str)) -> Result<Vec<Built>> {
    let plugins = language::plugins_in(&request.source);
    if plugins.is_empty() {
        return Err(Error::NoPlugin { path: request.source.clone() });
    }
    let check_is_one = |count: usize| match (&request.out, count) {
        (None, _) | (_, 1) => Ok(()),
        (Some(_), plugins) => Err(Error::OneFileForMany { path: request.source.clone(), plugins }),
    };
    // Before anything is compiled, and again for what only the compilers can tell.
    check_is_one(if request.out.is_some() { count(&plugins, request.install, report)? } else { 1 })?;
    let mut modules = Vec::new();
    for (language, directory) in &plugins {
        modules.extend(compile(*language, directory, request.install, report)?);
    }
    check_is_one(modules.len())?;
    let mut built = Vec::new();
    for Made { name, path, form, directory } in modules {
        let module = fs::read(&path).map_err(|error| Error::Read { path: path.clone(), error })?;
        let component = match form {
            Form::Module => component::from_core_module(&module, request.world.as_deref(), &path)?,
            Form::Component => module,
        };
        let default = || directory.join("target/components").join(format!("{name}.wasm"));
        built.push(write(name.clone(), form, &component, &request.out.clone().unwrap_or_else(default))?);
    }
    Ok(built)
}

/// What a compiler made.
#[derive(Clone, Debug)]
struct Made {
    /// The plugin's name.
    name: String,
    /// Where the compiler left it.
    path: PathBuf,
    /// What it is.
    form: Form,
    /// Beside which directory's sources the component goes.
    directory: PathBuf,
}

/// What compilers make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A core module: what the plugin contains shows only when it runs.
    Module,
    /// A component: its compiler has run the plugin, and asked what it contains.
    Component,
}

/// How many plugins `plugins` are: a workspace of Rust plugins is as many as it has members.
fn count(plugins: &[(Language, PathBuf)], may_install: bool, report: &mut dyn FnMut(&str)) -> Result<usize> {
    let mut count = 0;
    for (language, directory) in plugins {
        count += match language {
            Language::Rust => {
                Toolchain::find(directory, may_install, report)?;
                rust::count(directory)?
            }
            Language::Go | Language::JavaScript | Language::Python | Language::C => 1,
        };
    }
    Ok(count)
}

/// Compiles the plugin in `directory`, or, for a workspace of Rust plugins, all of them.
fn compile(language: Language, directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<Vec<Made>> {
    let (path, form) = match language {
        Language::Rust => return compile_rust(directory, may_install, report),
        Language::Go => (go::compile(directory, may_install, report)?, Form::Module),
        Language::JavaScript => (javascript::build(directory, may_install, report)?, Form::Component),
        Language::Python => (python::build(directory, may_install, report)?, Form::Component),
        Language::C => (c::compile(directory, may_install, report)?, Form::Module),
    };
    Ok(vec![Made { name: name_of(directory), path, form, directory: directory.to_owned() }])
}

fn compile_rust(directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<Vec<Made>> {
    let toolchain = Toolchain::find(directory, may_install, report)?;
    report(&format!("compiling {} with {toolchain}", directory.display()));
    rust::compile(directory, &toolchain)
}

/// A plugin is called as its directory, where nothing else tells.
fn name_of(directory: &Path) -> String {
    let absolute = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    absolute.file_name().map_or_else(|| "plugin".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes the component, unless it is there already: a host that watches the file sees changes only, and never half a
/// file.
fn write(name: String, made_as: Form, component: &[u8], path: &Path) -> Result<Built> {
    let digest = format!("sha256:{}", hexadecimal(&Sha256::digest(component)));
    let is_new = fs::read(path).map_or(true, |before| before != component);
    if is_new {
        write_atomically(path, component).map_err(|error| Error::Write { path: path.to_owned(), error })?;
    }
    Ok(Built { name, path: path.to_owned(), made_as, bytes: component.len(), digest, is_new })
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    // Several threads may build the same plugin.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let part = path.with_extension(format!("{}-{number}.part", std::process::id()));
    let written = fs::File::create(&part).and_then(|mut file| file.write_all(bytes));
    let done = written.and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        // What can't be removed either is told by the first error well enough.
        let _ = fs::remove_file(&part);
    }
    done
}

/// The digest of some texts, in hexadecimal.
fn digest_of(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hexadecimal(&hash.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
