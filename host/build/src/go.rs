//! Go's own compiler makes core modules of plugins: for WASI, because Go has no other target without a browser; the
//! adapter turns those imports into the component's.

use std::env;
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

/// The release that is fetched where the system's is too old for fetching one itself.
const FETCHED: &str = "go1.26.8";

/// A compiler.
struct Go {
    program: PathBuf,
    /// As people write it: `go 1.26.8`.
    version: String,
}

/// Compiles the plugin in `directory`; Go's own messages go to standard error. Returns where the module is.
pub(crate) fn compile(directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let go = install::find(may_install, report, || find(directory))?;
    report(&format!("compiling {} with {}", directory.display(), go.version));
    let module = directory.join("target").join("go").join("plugin.wasm");
    let mut command = Command::new(&go.program);
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

/// A Go that is recent enough: the one in the path, the one that it fetches because go.mod asks for it, or the one that was
/// fetched for it.
fn find(directory: &Path) -> std::result::Result<Go, Missing> {
    let elsewhere = "get Go from https://go.dev/dl";
    let wanted = format!("1.{} or later is needed", VERSION_MIN.1);
    let program = PathBuf::from("go");
    let Some(installed) = version(&program, directory, "local") else {
        let what = format!("there is no `go` ({wanted})");
        return Err(Missing::in_packages(Language::Go, what, &["golang-go"], elsewhere));
    };
    if parse(&installed) >= Some(VERSION_MIN) {
        return Ok(Go { program, version: installed });
    }
    if parse(&installed) >= Some(VERSION_WITH_TOOLCHAINS)
        && let Some(version) = version(&program, directory, "auto").filter(|own| parse(own) >= Some(VERSION_MIN))
    {
        return Ok(Go { program, version });
    }
    let (name, folder) = fetched();
    let program = folder.join("bin/go");
    if let Some(version) = version(&program, directory, "local") {
        return Ok(Go { program, version });
    }
    let what = format!("{installed} is too old ({wanted})");
    let words = |line: String| line.split(' ').map(str::to_owned).collect();
    let commands = vec![
        words(format!("go mod download {name}")),
        words(format!("chmod -R u+x {0}/bin {0}/pkg/tool", folder.display())),
    ];
    Err(Missing { language: Language::Go, what, elsewhere, commands })
}

/// The tool chain as Go's module proxy has it, and where it is unpacked. Releases before 1.21 don't make its programs
/// executable.
fn fetched() -> (String, PathBuf) {
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let name = format!("golang.org/toolchain@v0.0.1-{FETCHED}.{system}-{machine}");
    let path = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let modules = path("GOMODCACHE").or_else(|| {
        let home = path("GOPATH").or_else(|| Some(path("HOME")?.join("go")))?;
        Some(home.join("pkg/mod"))
    });
    let folder = modules.unwrap_or_default().join(&name);
    (name, folder)
}

/// What `go version` says, of the program itself or of the one that go.mod asks for.
fn version(program: &Path, directory: &Path, toolchain: &str) -> Option<String> {
    let output =
        Command::new(program).arg("version").current_dir(directory).env("GOTOOLCHAIN", toolchain).output().ok()?;
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
