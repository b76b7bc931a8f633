//! JavaScript and TypeScript become a component: esbuild makes one module of the plugin and all that it imports, the
//! TypeScript compiler checks its types, and componentize-qjs puts the module into a component with QuickJS in it.
//!
//! A plugin is a directory with a `package.json`. Its entry is what `main` names, or else the first of [`ENTRIES`]; what
//! its dependencies are, npm installs into its `node_modules`. The tools are npm packages, too, of the versions in
//! `javascript/package.json`.

use std::collections::BTreeSet;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::contract::WIT_FILES;
use crate::error::{Error, Result};
use crate::fetched;
use crate::install::{self, Missing};
use crate::language::Language;
use crate::stamp::{Stamp, sources};

/// Where a plugin begins when its package.json doesn't say.
const ENTRIES: [&str; 4] = ["src/index.ts", "src/index.js", "index.ts", "index.js"];

/// The tools and their versions.
const TOOLS: &str = include_str!("javascript/package.json");
/// What runs them.
const BUILD: &str = include_str!("javascript/build.mjs");

/// What may make a component another one.
const EXTENSIONS: [&str; 8] = ["js", "mjs", "cjs", "jsx", "ts", "mts", "tsx", "json"];

/// The first release that the tools run on.
const NODE_MIN: (u32, u32) = (18, 0);

/// Makes a component of the plugin in `directory`; the tools' own messages go to standard error. Returns where it is.
pub(crate) fn build(directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let unreadable = |error| Error::Read { path: directory.to_owned(), error };
    let directory = &fs::canonicalize(directory).map_err(unreadable)?;
    let entry = entry_of(directory)?;
    let work = directory.join("target/javascript");
    let _others_wait = fetched::lock(&work)?;
    let (stamp, component) = (Stamp::in_directory(&work), work.join("plugin.wasm"));
    let tools_version = format!("{TOOLS}{BUILD}{:?}{entry}", WIT_FILES);
    if component.is_file() && stamp.is_current(&sources(directory, &EXTENSIONS), &tools_version) {
        return Ok(component);
    }
    install::find(may_install, report, find_node)?;
    let tools = tools(&work, report)?;
    install_dependencies(directory, report)?;
    // After npm, which may write to package.json and its lock.
    let own = sources(directory, &EXTENSIONS);
    report(&format!("compiling {} with componentize-qjs", directory.display()));
    prepare(&work)?;
    check_types(directory, &entry, &tools)?;
    let inputs = componentize(directory, &entry, &tools, &work, &component)?;
    stamp.write(&own, &inputs, &tools_version);
    Ok(component)
}

/// The plugin's entry, from its directory.
fn entry_of(directory: &Path) -> Result<String> {
    let path = directory.join("package.json");
    let text = fs::read_to_string(&path).map_err(|error| Error::Read { path: path.clone(), error })?;
    let package: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Project { path: path.clone(), reason: format!("it is no JSON: {error}") })?;
    let named = package["main"].as_str().map(|main| main.trim_start_matches("./").to_owned());
    let entry = named.or_else(|| ENTRIES.into_iter().find(|entry| directory.join(entry).is_file()).map(str::to_owned));
    match entry {
        Some(entry) if directory.join(&entry).is_file() => Ok(entry),
        Some(entry) => Err(Error::Project { path, reason: format!("its `main` is {entry}, which is not there") }),
        None => Err(Error::Project {
            path,
            reason: format!("name the plugin's source as `main`, or call it {}", ENTRIES[0]),
        }),
    }
}

fn find_node() -> std::result::Result<(), Missing> {
    let missing = |what: String| {
        let what = format!("{what} ({}.{} or later is needed, and npm)", NODE_MIN.0, NODE_MIN.1);
        Missing::in_packages(Language::JavaScript, what, &["nodejs", "npm"], "get Node.js from https://nodejs.org")
    };
    match fetched::version("node") {
        None => Err(missing("there is no `node`".to_owned())),
        Some(found) if found < NODE_MIN => Err(missing(format!("Node.js {}.{} is too old", found.0, found.1))),
        Some(_) if fetched::version("npm").is_none() => Err(missing("there is no `npm`".to_owned())),
        Some(_) => Ok(()),
    }
}

/// The directory with the tools in its `node_modules`.
fn tools(work: &Path, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let digest = crate::digest_of(&[TOOLS, BUILD]);
    fetched::tools(&format!("javascript-{}", &digest[..16]), work, |directory| {
        report("fetching esbuild, TypeScript and componentize-qjs with npm, once for all plugins");
        for (name, text) in [("package.json", TOOLS), ("build.mjs", BUILD)] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|error| Error::Write { path, error })?;
        }
        npm_install(directory)
    })
}

/// Has npm install what the plugin depends on, if its package.json has changed since.
fn install_dependencies(directory: &Path, report: &mut dyn FnMut(&str)) -> Result<()> {
    let changed = |path: &str| fs::metadata(directory.join(path)).and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") >= changed("package.json") {
        return Ok(());
    }
    report(&format!("installing what {} depends on with npm", directory.display()));
    npm_install(directory)
}

/// No package's own scripts are run: what they would do, they would do with the rights of the user.
fn npm_install(directory: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(directory);
    fetched::run(&mut npm, "npm", directory)
}

/// Writes the contract to where componentize-qjs reads it.
fn prepare(work: &Path) -> Result<()> {
    let wit = work.join("wit");
    fs::create_dir_all(&wit).map_err(|error| Error::Write { path: wit.clone(), error })?;
    for (name, text) in WIT_FILES {
        let path = wit.join(name);
        fs::write(&path, text).map_err(|error| Error::Write { path, error })?;
    }
    Ok(())
}

/// Types are checked where there are some: by the plugin's tsconfig.json, or strictly.
fn check_types(directory: &Path, entry: &str, tools: &Path) -> Result<()> {
    let has_config = directory.join("tsconfig.json").is_file();
    if !has_config && !entry.ends_with("ts") {
        return Ok(());
    }
    let mut tsc = Command::new("node");
    tsc.arg(tools.join("node_modules/typescript/bin/tsc")).arg("--noEmit").current_dir(directory);
    tsc.args(["--pretty", if std::io::stderr().is_terminal() { "true" } else { "false" }]);
    if has_config {
        tsc.args(["-p", "."]);
    } else {
        tsc.args(["--strict", "--target", "es2023", "--module", "esnext", "--moduleResolution", "bundler"]);
        tsc.args(["--types", "@millstream/sdk/globals", entry]);
    }
    // It tells its errors on standard output, where the built components are listed.
    let output = tsc.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Error::Tool { tool: "tsc".to_owned(), error })?;
    eprint_all(&output.stdout);
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::Compiler { tool: "TypeScript", path: directory.to_owned() }),
    }
}

#[allow(clippy::print_stderr, reason = "a compiler's own messages go where compilers write theirs")]
fn eprint_all(text: &[u8]) {
    eprint!("{}", String::from_utf8_lossy(text));
}

/// Returns the files that the component was made from.
fn componentize(directory: &Path, entry: &str, tools: &Path, work: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    let request = json!({
        "directory": directory, "entry": entry, "wit": work.join("wit"), "work": work, "component": out,
    });
    let mut node = Command::new("node");
    node.arg(tools.join("build.mjs")).arg(request.to_string()).current_dir(directory).stderr(Stdio::inherit());
    let output = node.output().map_err(|error| Error::Tool { tool: "node".to_owned(), error })?;
    if !output.status.success() {
        return Err(Error::Compiler { tool: "JavaScript's tools", path: directory.to_owned() });
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let inputs = answer["inputs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let inputs: BTreeSet<PathBuf> = inputs.map(|input| directory.join(input)).collect();
    Ok(inputs.into_iter().collect())
}
