//! Go's own compiler makes core modules of plugins: for WASI, because Go has no other target without a browser; the
//! adapter turns those imports into the component's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::install::{self, Missing};
use crate::language::Language;

/// The first release whose `go:wasmexport` takes all that the contract needs, and that the SDK is tested with.
const VERSION_MIN: (u32, u32) = (1, 26);

/// The first release that fetches the tool chain that a go.mod asks for by itself, from Go's module proxy.
const VERSION_WITH_TOOLCHAINS: (u32, u32) = (1, 21);

/// Strips symbols, which are half of a module. The SDK hands the host memory from the runtime's own allocator, which the
/// linker allows by the last flag only.
const LINKER_FLAGS: &str = "-ldflags=-s -w -checklinkname=0";

/// Compiles the plugin in `directory`; Go's own messages go to standard error. Returns where the module is.
pub(crate) fn compile(directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let go = install::find(may_install, report, || find(directory))?;
    report(&format!("compiling {} with {go}", directory.display()));
    let module = directory.join("target").join("go").join("plugin.wasm");
    let mut command = Command::new("go");
    command
        .args(["build", "-buildmode=c-shared", LINKER_FLAGS, "-trimpath", "-o"])
        .arg(std::path::absolute(&module).map_err(|error| Error::Read { path: module.clone(), error })?)
        .arg(".")
        .current_dir(directory)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        // The plugin is what is in its directory, wherever that is.
        .env("GOWORK", "off")
        .env_remove("GOFLAGS");
    let status = command.status().map_err(|error| Error::Tool { tool: "go".to_owned(), error })?;
    if !status.success() {
        return Err(Error::Compiler { tool: "go", path: directory.to_owned() });
    }
    Ok(module)
}

/// The version of Go that is used in `directory`, in words.
fn find(directory: &Path) -> std::result::Result<String, Missing> {
    let Some(installed) = version(directory, "local") else { return Err(missing("there is no `go`".to_owned())) };
    if parse(&installed) >= Some(VERSION_MIN) {
        return Ok(installed);
    }
    // An older one may fetch the one that go.mod asks for.
    if parse(&installed) >= Some(VERSION_WITH_TOOLCHAINS)
        && let Some(fetched) = version(directory, "auto").filter(|fetched| parse(fetched) >= Some(VERSION_MIN))
    {
        return Ok(fetched);
    }
    Err(missing(format!("{installed} is too old, and it could not fetch a newer one")))
}

fn missing(what: String) -> Missing {
    let what = format!("{what} (1.{} or later is needed)", VERSION_MIN.1);
    Missing::in_packages(Language::Go, what, &["golang-go"], "get Go from https://go.dev/dl")
}

/// What `go version` says, of the one in the path or of the one that go.mod asks for.
fn version(directory: &Path, toolchain: &str) -> Option<String> {
    let output =
        Command::new("go").arg("version").current_dir(directory).env("GOTOOLCHAIN", toolchain).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().nth(2)?;
    output.status.success().then(|| version.replacen("go", "go ", 1))
}

/// The first two numbers of `go 1.26.8`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("go ")?.split(['.', 'r', 'b', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_as_numbers() {
        assert_eq!(parse("go 1.26.8"), Some((1, 26)));
        assert_eq!(parse("go 1.27rc1"), Some((1, 27)));
        assert!(parse("go 1.9") < Some(VERSION_MIN));
        assert_eq!(parse("devel"), None);
    }
}
