//! Finds a Rust compiler with a standard library for guests.
//!
//! In this order, the first that works:
//! 1. the target `wasm32-unknown-unknown` is installed for the compiler that cargo would use,
//! 2. a compiler's own sources are there (rustup's component `rust-src`, or Debian's `rustc-web` with `rust-web-src`),
//!    and the library has been compiled from them before,
//! 3. rustup can add the target,
//! 4. the library is compiled from those sources now, which takes about a minute, once.
//!
//! Where nothing does, Debian's packages can be installed for the fourth way.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Result;
use crate::install::{self, Missing};
use crate::language::Language;

/// What guests are compiled for: no operating system, so no WASI either.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Where the compiler of a distribution is, when the one in the path is rustup's.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// Lets the crate `getrandom` ask the SDK for random bytes; it doesn't compile for this target otherwise.
const GETRANDOM_BACKEND: &str = "getrandom_backend=\"custom\"";

/// Loops over bytes may take sixteen at a time; x86-64 and AArch64 have the instructions.
const FEATURES: &str = "-Ctarget-feature=+simd128";

/// What stands between two flags in `CARGO_ENCODED_RUSTFLAGS`.
const FLAG_SEPARATOR: &str = "\u{1f}";

/// Debian's packages for the fourth way.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];

/// Linkers for Wasm by the names under which systems have them, the newest first.
const LINKERS: [&str; 8] =
    ["wasm-ld", "wasm-ld-22", "wasm-ld-21", "wasm-ld-20", "wasm-ld-19", "wasm-ld-18", "wasm-ld-17", "wasm-ld-16"];

/// How there came to be a standard library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandardLibrary {
    /// The target is installed.
    Installed,
    /// Rustup has just added it.
    AddedByRustup,
    /// Cargo compiles it from the compiler's sources.
    FromSource {
        /// The compiler.
        rustc: PathBuf,
        /// The linker; `None` is the compiler's own.
        linker: Option<PathBuf>,
    },
}

/// A way to compile guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Where its standard library comes from.
    pub standard_library: StandardLibrary,
}

impl Toolchain {
    /// Finds one for the package in `directory`. With `may_install` what is missing is installed.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`](crate::Error::Missing), with what was tried and what can be done.
    pub fn find(directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<Self> {
        install::find(may_install, report, || Self::find_or_add(directory))
    }

    fn find_or_add(directory: &Path) -> std::result::Result<Self, Missing> {
        if !runs("cargo", directory) {
            return Err(missing("cargo isn't there"));
        }
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let sysroot = sysroot_of(Path::new(&rustc), directory);
        if sysroot.as_deref().is_some_and(has_target) {
            return Ok(Self { standard_library: StandardLibrary::Installed });
        }
        let candidates = [(PathBuf::from(&rustc), sysroot), {
            let system = PathBuf::from(SYSTEM_RUSTC);
            let sysroot = sysroot_of(&system, directory);
            (system, sysroot)
        }];
        let from_source = candidates.into_iter().find_map(|(rustc, sysroot)| from_source(rustc, &sysroot?));
        if let Some(found) = &from_source
            && found.has_compiled_before()
        {
            return Ok(found.clone());
        }
        let tried = match add_with_rustup(directory) {
            Ok(()) => return Ok(Self { standard_library: StandardLibrary::AddedByRustup }),
            Err(reason) => reason,
        };
        let what = format!("there is no standard library for {TARGET}, and {tried}");
        from_source.ok_or_else(|| missing(what))
    }

    fn has_compiled_before(&self) -> bool {
        guest_directory().is_some_and(|directory| directory.join(self.name()).join(TARGET).is_dir())
    }

    fn name(&self) -> &'static str {
        match self.standard_library {
            StandardLibrary::Installed | StandardLibrary::AddedByRustup => "installed",
            StandardLibrary::FromSource { .. } => "from-source",
        }
    }

    /// Where cargo works: one directory for all plugins, so that the standard library and the SDK are compiled once.
    pub(crate) fn target_directory(&self, workspace: &Path) -> PathBuf {
        guest_directory().unwrap_or_else(|| workspace.join("target")).join(self.name())
    }

    /// Tells cargo about it, and about the compiler's flags.
    pub(crate) fn prepare(&self, cargo: &mut Command) {
        let mut flags = vec!["--cfg", GETRANDOM_BACKEND, FEATURES];
        if let StandardLibrary::FromSource { rustc, linker } = &self.standard_library {
            // The unstable option of cargo is allowed to stable compilers by this variable; the library is the
            // compiler's own.
            cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1").env("RUSTC", rustc);
            if let Some(linker) = linker {
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker).env_remove("RUSTFLAGS");
                flags.push("-Clinker-flavor=wasm-ld");
                cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join(FLAG_SEPARATOR));
                return;
            }
        }
        // Cargo looks at one source of flags only: a variable wins over all configuration. Of two flags the last one holds, so that
        // an author's variable can take a feature back.
        let variable = |name| env::var(name).ok().filter(|flags| !flags.trim().is_empty());
        let own = variable("CARGO_ENCODED_RUSTFLAGS").or_else(|| {
            let flags = variable("RUSTFLAGS")?;
            Some(flags.split_whitespace().collect::<Vec<_>>().join(FLAG_SEPARATOR))
        });
        match own {
            Some(own) => {
                cargo.env("CARGO_ENCODED_RUSTFLAGS", [&*flags.join(FLAG_SEPARATOR), &own].join(FLAG_SEPARATOR))
            }
            // Joined by cargo with the flags for this target in the author's own files.
            None => cargo.args(["--config", &format!("target.{TARGET}.rustflags={flags:?}")]),
        };
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.standard_library {
            StandardLibrary::Installed => write!(f, "the installed target {TARGET}"),
            StandardLibrary::AddedByRustup => write!(f, "the target {TARGET}, added by rustup"),
            StandardLibrary::FromSource { rustc, .. } => {
                write!(f, "the standard library compiled from the sources of {}", rustc.display())
            }
        }
    }
}

/// Where cargo's work for guests is kept: with everything else that is built, or in the user's cache.
pub(crate) fn guest_directory() -> Option<PathBuf> {
    let not_empty = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(target) = not_empty("CARGO_TARGET_DIR") {
        return Some(target.join("guest"));
    }
    let cache = not_empty("XDG_CACHE_HOME").or_else(|| Some(not_empty("HOME")?.join(".cache")))?;
    Some(cache.join("millstream").join("guest"))
}

fn missing(what: impl Into<String>) -> Missing {
    let elsewhere = "install Rust from https://rustup.rs and run `rustup target add wasm32-unknown-unknown`";
    Missing::in_packages(Language::Rust, what, &PACKAGES, elsewhere)
}

/// Says why not, where rustup can't; it tells its progress itself.
fn add_with_rustup(directory: &Path) -> std::result::Result<(), &'static str> {
    let mut rustup = Command::new("rustup");
    match rustup.args(["target", "add", TARGET]).current_dir(directory).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("rustup can't add it (its messages are above)"),
        Err(_) => Err("there is no rustup"),
    }
}

fn runs(tool: &str, directory: &Path) -> bool {
    let version = Command::new(tool).arg("--version").current_dir(directory).output();
    version.is_ok_and(|output| output.status.success())
}

fn sysroot_of(rustc: &Path, directory: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(directory).output().ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(sysroot.trim()))
}

fn has_target(sysroot: &Path) -> bool {
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::read_dir(libraries).is_ok_and(|mut files| files.next().is_some())
}

fn from_source(rustc: PathBuf, sysroot: &Path) -> Option<Toolchain> {
    if !sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file() {
        return None;
    }
    let own_linker = std::fs::read_dir(sysroot.join("lib/rustlib"))
        .ok()?
        .filter_map(std::result::Result::ok)
        .any(|host| host.path().join("bin/rust-lld").is_file());
    let linker = if own_linker { None } else { Some(find_linker()?) };
    Some(Toolchain { standard_library: StandardLibrary::FromSource { rustc, linker } })
}

fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let in_path =
        |name: &str| env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
    LINKERS.into_iter().find_map(in_path)
}
