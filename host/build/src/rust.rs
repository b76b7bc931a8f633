//! Cargo compiles a plugin's directory to core modules.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::toolchain::{TARGET, Toolchain};
use crate::{Form, Made};

/// The SDK's package.
const SDK: &str = "millstream-sdk";

/// The SDK's feature that gives random bytes to `getrandom`. It is on only where that is used, because the linker keeps what
/// it may call, and so every plugin would import random bytes.
const RANDOM_FEATURE: &str = "millstream-sdk/getrandom";

/// Compiles the plugin in `directory`, or every plugin of the workspace in it.
///
/// Each package is compiled by itself: together they would share the features of what they depend on, and a plugin's
/// digest would depend on its neighbours.
pub fn compile(directory: &Path, toolchain: &Toolchain) -> Result<Vec<Made>> {
    let manifest = directory.join("Cargo.toml");
    let (workspace, packages) = plugins_of(&manifest)?;
    let mut modules = Vec::new();
    for package in &packages {
        modules.extend(compile_package(package, &workspace, toolchain)?);
    }
    if modules.is_empty() {
        return Err(Error::NoCdylib { path: directory.to_owned() });
    }
    Ok(modules)
}

/// How many plugins `directory` stands for, before any is compiled.
pub fn count(directory: &Path) -> Result<usize> {
    Ok(plugins_of(&directory.join("Cargo.toml"))?.1.len())
}

/// The package of a plugin.
struct Package {
    manifest: PathBuf,
    /// Whether it names the SDK among its dependencies.
    has_sdk: bool,
}

fn compile_package(package: &Package, workspace: &Path, toolchain: &Toolchain) -> Result<Vec<Made>> {
    let Package { manifest, has_sdk } = package;
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(toolchain.target_directory(workspace))
        .stdout(Stdio::piped());
    if *has_sdk && uses_getrandom(manifest)? {
        command.args(["--features", RANDOM_FEATURE]);
    }
    toolchain.prepare(&mut command);
    let tool_error = |error| Error::Tool { tool: "cargo".to_owned(), error };
    let mut cargo = command.spawn().map_err(tool_error)?;
    let mut modules = Vec::new();
    if let Some(messages) = cargo.stdout.take() {
        for line in BufReader::new(messages).lines().map_while(std::result::Result::ok) {
            modules.extend(module_of(&line, workspace));
        }
    }
    if !cargo.wait().map_err(tool_error)?.success() {
        return Err(Error::Cargo { path: manifest.to_owned() });
    }
    Ok(modules)
}

/// Whether the crate `getrandom`, of any version, is among all that a plugin is compiled with.
fn uses_getrandom(manifest: &Path) -> Result<bool> {
    let tree = answer_of_cargo(&["tree", "--edges", "normal", "--prefix", "none", "--target", TARGET], manifest)?;
    Ok(names_getrandom(&String::from_utf8_lossy(&tree)))
}

/// What cargo says of a manifest; its complaints are shown.
fn answer_of_cargo(question: &[&str], manifest: &Path) -> Result<Vec<u8>> {
    let output = Command::new("cargo")
        .args(question)
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Error::Tool { tool: "cargo".to_owned(), error })?;
    if !output.status.success() {
        return Err(Error::Cargo { path: manifest.to_owned() });
    }
    Ok(output.stdout)
}

/// Whether a tree of dependencies, one a line, names the crate.
fn names_getrandom(tree: &str) -> bool {
    tree.lines().any(|line| line.starts_with("getrandom v"))
}

/// The root of the workspace that a manifest belongs to, and the plugins that it stands for: its own package, or all
/// members of its workspace.
fn plugins_of(manifest: &Path) -> Result<(PathBuf, Vec<Package>)> {
    let answer = answer_of_cargo(&["metadata", "--no-deps", "--format-version", "1"], manifest)?;
    let failed = || Error::Cargo { path: manifest.to_owned() };
    let metadata: Value = serde_json::from_slice(&answer).map_err(|_| failed())?;
    let workspace = metadata["workspace_root"].as_str().ok_or_else(failed)?;
    let packages = metadata["packages"].as_array().ok_or_else(failed)?;
    let own = std::fs::canonicalize(manifest).map_err(|_| failed())?;
    let manifest_of = |package: &Value| package["manifest_path"].as_str().map(PathBuf::from);
    let is_own = |package: &&Value| manifest_of(package).is_some_and(|path| path == own);
    let chosen = match packages.iter().find(is_own) {
        Some(package) => vec![package],
        None => packages.iter().filter(|package| makes_cdylib(package)).collect(),
    };
    let plugins = chosen.into_iter().filter_map(|package| {
        let manifest = manifest_of(package)?;
        Some(Package { manifest, has_sdk: names_sdk(package) })
    });
    Ok((PathBuf::from(workspace), plugins.collect()))
}

/// Whether a package depends on the SDK under the SDK's own name.
fn names_sdk(package: &Value) -> bool {
    let mut dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies.any(|dependency| dependency["name"] == SDK && dependency["rename"].is_null())
}

fn makes_cdylib(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets.filter_map(|target| target["kind"].as_array()).flatten().any(|kind| kind == "cdylib")
}

/// The module that a message of cargo tells of, if it does.
fn module_of(message: &str, workspace: &Path) -> Option<Made> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_cdylib = |kind: &Value| kind == "cdylib";
    let target = message.get("target")?;
    if message.get("reason")? != "compiler-artifact" || !target.get("kind")?.as_array()?.iter().any(is_cdylib) {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str);
    let path = files.filter(|path| path.ends_with(".wasm")).map(PathBuf::from).next()?;
    let name = target.get("name")?.as_str()?.replace('_', "-");
    Some(Made { name, path, form: Form::Module, directory: workspace.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feature_for_random_bytes_is_that_of_a_plugin_which_has_the_sdk_and_something_that_asks_for_them() {
        let package = |dependencies: &str| serde_json::from_str(&format!(r#"{{"dependencies":{dependencies}}}"#));
        let names_sdk = |dependencies| names_sdk(&package(dependencies).expect("JSON"));
        assert!(names_sdk(r#"[{"name":"rand","rename":null},{"name":"millstream-sdk","rename":null}]"#));
        assert!(!names_sdk(r#"[{"name":"millstream-sdk","rename":"sdk"}]"#));
        assert!(!names_sdk("[]"));
        assert!(names_getrandom("top v0.1.0 (/top)\nrand v0.9.5\ngetrandom v0.3.4\ncfg-if v1.0.4\n"));
        assert!(!names_getrandom("getrandom-of-mine v0.1.0 (/getrandom)\nmillstream-sdk v0.1.0\n"));
    }

    #[test]
    fn only_wasm_libraries_in_cargo_s_messages_are_modules() {
        let message = |kind: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","filenames":["{file}"],
                    "target":{{"kind":["{kind}"],"name":"get_put"}}}}"#
            )
        };
        let workspace = Path::new("/w");
        let module = module_of(&message("cdylib", "/t/get_put.wasm"), workspace).expect("a module");
        assert_eq!((module.name.as_str(), module.path.as_path()), ("get-put", Path::new("/t/get_put.wasm")));
        assert!(module_of(&message("rlib", "/t/get_put.wasm"), workspace).is_none());
        assert!(module_of(&message("cdylib", "/t/get_put.so"), workspace).is_none());
        assert!(module_of(r#"{"reason":"build-finished","success":true}"#, workspace).is_none());
        assert!(module_of("warning: text", workspace).is_none());
    }
}
