//! Clang makes core modules of plugins in C, with wasi-libc as the C library: what doesn't use files or the terminal
//! imports nothing of WASI.
//!
//! A plugin is a directory with `.c` files in it, or in its folder `src`; those that end in `_test.c` are tests, which
//! other compilers run. `compile_flags.txt` may hold more flags, one a line, as clangd reads them. The SDK is the copy in
//! the folder `sdk`, or else the one that this program carries.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::install::{self, Missing};
use crate::language::Language;

macro_rules! sdk {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../guest-sdk/c/", $name)))),+]
    };
}

/// The SDK, by the names of its files; without what only native tests need.
const SDK: [(&str, &str); 12] = sdk![
    "millstream.h",
    "ms_imports.h",
    "ms_internal.h",
    "ms_memory.h",
    "ms_cache.c",
    "ms_context.c",
    "ms_json.c",
    "ms_memory.c",
    "ms_output.c",
    "ms_record.c",
    "ms_run.c",
    "ms_store.c",
];

/// What every plugin is compiled with: a library of calls (`reactor`), no line tables, names for backtraces.
const FLAGS: [&str; 10] = [
    "--target=wasm32-wasi",
    "-mexec-model=reactor",
    "-std=c17",
    // Across the files of the SDK and the plugin, as one program.
    "-O3",
    "-flto",
    // Copying memory is one instruction; every runtime has it.
    "-mbulk-memory",
    "-Wall",
    "-Wl,--strip-debug",
    // The stack below all data: overflowing it traps instead of overwriting.
    "-Wl,--stack-first",
    "-Wl,-z,stack-size=262144",
];

/// The variant of wasi-libc's `printf` that formats all numbers. The usual one complains to standard error when it is given a
/// `long double`, and that alone makes every plugin import WASI.
const PRINTF: &str = "-lc-printscan-long-double";

/// Compilers by the names under which systems have them, the newest first.
const COMPILERS: [&str; 10] = [
    "clang-22", "clang-21", "clang-20", "clang-19", "clang", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14",
];

/// What Debian and Ubuntu call the tool chain.
const PACKAGES: [&str; 4] = ["clang-19", "lld-19", "wasi-libc", "libclang-rt-19-dev-wasm32"];

/// The sources of the plugin in `directory`, sorted; none if it is no plugin in C.
pub(crate) fn sources(directory: &Path) -> Vec<PathBuf> {
    sources_in(&[directory, &directory.join("src")])
}

fn sources_in(folders: &[&Path]) -> Vec<PathBuf> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let paths = entries.filter_map(std::result::Result::ok).map(|entry| entry.path());
    let is_source = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".c") && !name.ends_with("_test.c")
    };
    let mut sources: Vec<PathBuf> = paths.filter(is_source).collect();
    sources.sort();
    sources
}

/// Compiles the plugin in `directory`, if something has changed since the last time; clang's own messages go to standard
/// error. Returns where the module is.
pub(crate) fn compile(directory: &Path, may_install: bool, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let clang = install::find(may_install, report, find)?;
    let work = directory.join("target").join("c");
    let sdk = sdk(directory, &work)?;
    let (module, stamp) = (work.join("plugin.wasm"), work.join("plugin.stamp"));
    let mut command = Command::new(&clang);
    command.args(FLAGS).args(flags(directory));
    command.arg("-I").arg(&sdk).arg("-I").arg(directory).arg("-o").arg(&module);
    command.args(sources(directory)).args(sources_in(&[&sdk])).arg(PRINTF);
    let inputs = digest(directory, &sdk, &command)?;
    if module.is_file() && fs::read_to_string(&stamp).is_ok_and(|before| before == inputs) {
        return Ok(module);
    }
    report(&format!("compiling {} with {}", directory.display(), clang.to_string_lossy()));
    fs::create_dir_all(&work).map_err(|error| Error::Write { path: work.clone(), error })?;
    let status = command.status();
    let status = status.map_err(|error| Error::Tool { tool: clang.to_string_lossy().into_owned(), error })?;
    if !status.success() {
        return Err(Error::Compiler { tool: "clang", path: directory.to_owned() });
    }
    fs::write(&stamp, inputs).map_err(|error| Error::Write { path: stamp, error })?;
    Ok(module)
}

/// Where the SDK is: in the plugin's folder `sdk`, or unpacked beside what is built.
fn sdk(directory: &Path, work: &Path) -> Result<PathBuf> {
    let own = directory.join("sdk");
    if own.join("millstream.h").is_file() {
        return Ok(own);
    }
    let unpacked = work.join("sdk");
    for (name, text) in SDK {
        let path = unpacked.join(name);
        if fs::read_to_string(&path).map_or(true, |before| before != text) {
            let written = fs::create_dir_all(&unpacked).and_then(|()| fs::write(&path, text));
            written.map_err(|error| Error::Write { path, error })?;
        }
    }
    Ok(unpacked)
}

/// The author's own flags, as clangd reads them: one a line.
fn flags(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join("compile_flags.txt")).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| rooted(line, directory)).collect()
}

/// Folders in flags are relative to where the file is.
fn rooted(flag: &str, directory: &Path) -> String {
    match flag.strip_prefix("-I").map(str::trim) {
        Some(folder) if !folder.is_empty() => format!("-I{}", directory.join(folder).display()),
        _ => flag.to_owned(),
    }
}

/// Tells whether anything has changed: all sources and headers of the directory and the SDK, the headers in folders of the
/// author's own flags, and the command.
fn digest(directory: &Path, sdk: &Path, command: &Command) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(format!("{command:?}"));
    for flag in flags(directory) {
        if let Some(folder) = flag.strip_prefix("-I").map(PathBuf::from).filter(|folder| folder.is_dir()) {
            digest_files(&folder, &mut digest)?;
        }
    }
    let mut folders = vec![directory.to_owned(), sdk.to_owned()];
    while let Some(folder) = folders.pop() {
        let below = digest_files(&folder, &mut digest)?;
        folders.extend(below.into_iter().filter(|folder| folder.file_name().is_some_and(|name| name != "target")));
    }
    Ok(crate::hexadecimal(&digest.finalize()))
}

/// Adds the sources and headers of a folder, and returns the folders in it.
fn digest_files(folder: &Path, digest: &mut Sha256) -> Result<Vec<PathBuf>> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::Read { path, error }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(read(folder))? {
        paths.push(entry.map_err(read(folder))?.path());
    }
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    for path in files {
        if path.extension().is_some_and(|extension| extension == "c" || extension == "h") {
            let bytes = fs::read(&path).map_err(read(&path))?;
            digest.update(path.as_os_str().as_encoded_bytes());
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
    }
    Ok(folders)
}

/// A compiler that has a linker, a C library and its own run-time library for WebAssembly.
fn find() -> std::result::Result<OsString, Missing> {
    let own = env::var_os("WASI_SDK_PATH").map(|path| Path::new(&path).join("bin/clang").into_os_string());
    let mut lacks = None;
    for compiler in own.into_iter().chain(COMPILERS.map(OsString::from)) {
        match lacking(&compiler) {
            None => continue,
            Some(None) => return Ok(compiler),
            Some(Some(what)) => {
                lacks.get_or_insert_with(|| format!("{} has no {what} for WebAssembly", compiler.to_string_lossy()));
            }
        }
    }
    let what = lacks.unwrap_or_else(|| "there is no `clang`".to_owned());
    let elsewhere = "get the WASI SDK from https://github.com/WebAssembly/wasi-sdk and set WASI_SDK_PATH";
    Err(Missing::in_packages(Language::C, what, &PACKAGES, elsewhere))
}

/// What a compiler lacks; the outer `None` says that there is no such compiler.
fn lacking(compiler: &OsString) -> Option<Option<&'static str>> {
    let is_there = |question: &[&str]| {
        let output = Command::new(compiler).arg(FLAGS[0]).args(question).output().ok()?;
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Some(Path::new(&path).is_absolute() && Path::new(&path).is_file())
    };
    if !is_there(&["-print-prog-name=wasm-ld"])? {
        return Some(Some("linker (wasm-ld)"));
    }
    if !is_there(&["-print-file-name=crt1-reactor.o"])? {
        return Some(Some("C library (wasi-libc)"));
    }
    if !is_there(&["-rtlib=compiler-rt", "-print-libgcc-file-name"])? {
        return Some(Some("run-time library (libclang-rt)"));
    }
    Some(None)
}
