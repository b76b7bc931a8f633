//! Python becomes a component: componentize-py puts the plugin's modules, already imported, into a component with CPython
//! in it.
//!
//! A plugin is a directory with a `pyproject.toml`. What its table `[tool.millstream]` may say:
//!
//! - `module`: the module that names the processors; by default the project's name, with underscores;
//! - `path`: the folders in which modules are found; by default `src`, or else the directory, and the SDK in `sdk/src`.
//!
//! What it depends on (`[project] dependencies`) is installed by pip, and must be pure Python. componentize-py is a
//! package, too, of the version in [`TOOL`], in a virtual environment of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml::de::{DeTable, DeValue};

use crate::contract::WIT_FILES;
use crate::error::{Error, Result};
use crate::fetched;
use crate::install::{self, Missing};
use crate::language::Language;
use crate::stamp::{self, Stamp};

/// What makes components of Python.
const TOOL: &str = "componentize-py==0.25.1";
/// The version of Python that is in them.
const PYTHON_INSIDE: &str = "3.14";

/// Tells of what worlds a plugin is, by importing it as the component will.
const WORLDS: &str = include_str!("python/worlds.py");

/// The SDK needs it, where the plugin is imported first.
const PYTHON_MIN: (u32, u32) = (3, 11);

/// What pyproject.toml says.
struct Project {
    module: String,
    path: Vec<PathBuf>,
    dependencies: Vec<String>,
}

/// Makes a component of the plugin in `directory`; the tools' own messages go to standard error. Returns where it is.
pub(crate) fn build(directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let unreadable = |error| Error::Read { path: directory.to_owned(), error };
    let directory = &fs::canonicalize(directory).map_err(unreadable)?;
    let project = project_of(directory)?;
    let work = directory.join("target/python");
    let _others_wait = fetched::lock(&work)?;
    let (stamp, component) = (Stamp::in_directory(&work), work.join("plugin.wasm"));
    // Any of them may be read when the plugin is imported.
    let mut own: BTreeSet<PathBuf> = project.path.iter().flat_map(|path| stamp::files(path, directory)).collect();
    own.insert(directory.join("pyproject.toml"));
    let tools_version = format!("{TOOL}{WORLDS}{WIT_FILES:?}");
    if component.is_file() && stamp.is_current(&own, &tools_version) {
        return Ok(component);
    }
    install::find(may_install, report, find_python)?;
    let tools = tools(&work, report)?;
    let packages = install_dependencies(directory, &project, &tools, &work, report)?;
    report(&format!("compiling {} with componentize-py (about 10 s)", directory.display()));
    let path: Vec<PathBuf> = project.path.iter().cloned().chain(packages).collect();
    let worlds = worlds_of(directory, &project, &path, &tools)?;
    prepare(&project, &worlds, &work)?;
    componentize(directory, &path, &tools, &work, &component)?;
    stamp.write(&own, &[], &tools_version);
    Ok(component)
}

fn project_of(directory: &Path) -> Result<Project> {
    let file = directory.join("pyproject.toml");
    let wrong = |reason: String| Error::Project { path: file.clone(), reason };
    let text = fs::read_to_string(&file).map_err(|error| Error::Read { path: file.clone(), error })?;
    let table = DeTable::parse(&text).map_err(|error| wrong(format!("it is no TOML: {}", error.message())))?;
    let table = table.get_ref();
    let project = table.get("project").and_then(|project| project.get_ref().as_table());
    let tool = table.get("tool").and_then(|tool| tool.get_ref().as_table()?.get("millstream")?.get_ref().as_table());
    let text_of = |table: Option<&DeTable<'_>>, key| table?.get(key)?.get_ref().as_str().map(str::to_owned);
    let module = text_of(tool, "module").or_else(|| Some(text_of(project, "name")?.replace('-', "_")));
    let module = module.ok_or_else(|| wrong("name the plugin's module as `module` in [tool.millstream]".to_owned()))?;
    let path = match tool.and_then(|tool| tool.get("path")) {
        Some(path) => strings(path.get_ref()).into_iter().map(|folder| directory.join(folder)).collect(),
        None => default_path(directory),
    };
    if let Some(missing) = path.iter().find(|folder| !folder.is_dir()) {
        return Err(wrong(format!("its `path` names {}, which is not there", missing.display())));
    }
    let dependencies = project.and_then(|project| project.get("dependencies"));
    let dependencies = dependencies.map(|list| strings(list.get_ref())).unwrap_or_default();
    let has_sdk = path.iter().any(|folder| folder.join("millstream/__init__.py").is_file());
    // The SDK is taken from the path, where it is there.
    let is_wanted = |name: &String| !(has_sdk && is_named(name, "millstream"));
    let dependencies = dependencies.into_iter().filter(is_wanted).collect();
    Ok(Project { module, path, dependencies })
}

/// The texts in a list.
fn strings(list: &DeValue<'_>) -> Vec<String> {
    let texts = list.as_array().into_iter().flat_map(|list| list.iter());
    texts.filter_map(|text| text.get_ref().as_str()).map(str::to_owned).collect()
}

/// Whether a requirement (`name[extra] >= 1; marker`) is of the package `wanted`.
fn is_named(requirement: &str, wanted: &str) -> bool {
    let end = requirement.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).unwrap_or(requirement.len());
    requirement[..end].eq_ignore_ascii_case(wanted)
}

fn default_path(directory: &Path) -> Vec<PathBuf> {
    let source = directory.join("src");
    let own = if source.is_dir() { source } else { directory.to_owned() };
    let sdk = directory.join("sdk/src");
    if sdk.is_dir() { vec![own, sdk] } else { vec![own] }
}

fn find_python() -> std::result::Result<(), Missing> {
    let missing = |what: String| {
        let what = format!("{what} ({}.{} or later is needed, with venv)", PYTHON_MIN.0, PYTHON_MIN.1);
        let elsewhere = "get Python from https://www.python.org";
        Missing::in_packages(Language::Python, what, &["python3", "python3-venv"], elsewhere)
    };
    match fetched::version("python3") {
        None => Err(missing("there is no `python3`".to_owned())),
        Some(found) if found < PYTHON_MIN => Err(missing(format!("Python {}.{} is too old", found.0, found.1))),
        Some(_) => {
            // Debian has both modules in a package of their own.
            let modules = Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
            match modules.is_ok_and(|status| status.success()) {
                true => Ok(()),
                false => Err(missing("python3 has no module `venv`".to_owned())),
            }
        }
    }
}

/// The virtual environment with componentize-py.
fn tools(work: &Path, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let (major, minor) = fetched::version("python3").unwrap_or(PYTHON_MIN);
    fetched::tools(&format!("python{major}.{minor}-{}", TOOL.replace("==", "-")), work, |directory| {
        report("fetching componentize-py with pip, once for all plugins");
        fetched::run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(directory),
            "python3 -m venv",
            directory,
        )?;
        let mut pip = Command::new(directory.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", TOOL]);
        fetched::run(&mut pip, "pip", directory)
    })
}

/// Has pip install what the plugin depends on, as wheels without native code; none if it depends on nothing.
fn install_dependencies(
    directory: &Path,
    project: &Project,
    tools: &Path,
    work: &Path,
    report: &mut dyn FnMut(&str),
) -> Result<Option<PathBuf>> {
    if project.dependencies.is_empty() {
        return Ok(None);
    }
    let packages = work.join("packages");
    let note = work.join("packages.txt");
    let wanted = project.dependencies.join("\n");
    if fs::read_to_string(&note).is_ok_and(|installed| installed == wanted) {
        return Ok(Some(packages));
    }
    report(&format!("installing what {} depends on with pip", directory.display()));
    let _ = fs::remove_dir_all(&packages);
    let mut pip = Command::new(tools.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    pip.args(["--platform", "any", "--implementation", "py", "--abi", "none", "--python-version", PYTHON_INSIDE]);
    pip.arg("--target").arg(&packages).args(&project.dependencies).current_dir(directory);
    fetched::run(&mut pip, "pip (plugins can use packages of pure Python only)", directory)?;
    fs::write(&note, wanted).map_err(|error| Error::Write { path: note, error })?;
    Ok(Some(packages))
}

/// The worlds that the plugin is of.
fn worlds_of(directory: &Path, project: &Project, path: &[PathBuf], tools: &Path) -> Result<Vec<String>> {
    let mut python = Command::new(tools.join("bin/python"));
    python.args(["-B", "-c", WORLDS, &project.module]).args(path).current_dir(directory).stderr(Stdio::inherit());
    let output = python.output().map_err(|error| Error::Tool { tool: "python3".to_owned(), error })?;
    let answer = String::from_utf8_lossy(&output.stdout);
    let worlds = answer.lines().last().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    match output.status.success() {
        true => Ok(worlds),
        false => Err(Error::Compiler { tool: "Python", path: directory.to_owned() }),
    }
}

/// Writes the contract, and the module from which componentize-py begins.
fn prepare(project: &Project, worlds: &[String], work: &Path) -> Result<()> {
    let mut entry = format!("import {}\n", project.module);
    let mut includes = String::new();
    for world in worlds {
        let (module, class) = match world.as_str() {
            "plugin-predicate" => ("predicates", "Predicate"),
            "plugin-key-selector" => ("key_selectors", "KeySelector"),
            _ => ("processors", "Processor"),
        };
        entry.push_str(&format!("from millstream.exports.{module} import {class}\n"));
        includes.push_str(&format!("include {world}; "));
    }
    let world = format!("package millstream:processor@0.1.0;\nworld plugin {{ {includes}}}\n");
    let files = WIT_FILES.map(|(name, text)| (format!("wit/{name}"), text.to_owned()));
    let own = [("wit/plugin.wit".to_owned(), world), ("entry/millstream_plugin.py".to_owned(), entry)];
    for (name, text) in files.into_iter().chain(own) {
        let path = work.join(name);
        let parent = path.parent().unwrap_or(work);
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.map_err(|error| Error::Write { path, error })?;
    }
    Ok(())
}

fn componentize(directory: &Path, path: &[PathBuf], tools: &Path, work: &Path, out: &Path) -> Result<()> {
    let mut command = Command::new(tools.join("bin/componentize-py"));
    command.arg("-d").arg(work.join("wit")).args(["-w", "plugin", "componentize"]);
    command.arg("-p").arg(work.join("entry"));
    for folder in path {
        command.arg("-p").arg(folder);
    }
    command.arg("millstream_plugin").arg("-o").arg(out).current_dir(directory);
    // It would add the packages of an environment that is active, or of the system.
    let environment = work.join("no-environment");
    let none = environment.join("lib/site-packages");
    fs::create_dir_all(&none).map_err(|error| Error::Write { path: none, error })?;
    command.env("VIRTUAL_ENV", environment).env("PYTHONDONTWRITEBYTECODE", "1");
    fetched::run(&mut command, "componentize-py", directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_told_by_its_name() {
        assert!(is_named("millstream", "millstream"));
        assert!(is_named("Millstream >= 0.1; python_version > '3'", "millstream"));
        assert!(!is_named("millstream-extras", "millstream"));
    }
}
