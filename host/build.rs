//! Puts the guest SDKs and their templates into the program, so that `millstream new` fetches nothing: a table of paths and bytes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The SDKs that have templates; their folders in `guest-sdk/`.
const LANGUAGES: [&str; 5] = ["rust", "js", "python", "go", "c"];

/// What tools leave behind.
const LEFT_BEHIND: [&str; 6] = ["target", "node_modules", "__pycache__", "dist", "build", "venv"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../guest-sdk");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("guest_sdk_files.rs");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = Vec::new();
    for language in LANGUAGES {
        if root.join(language).is_dir() {
            walk(&root.join(language), language, &mut files)?;
        }
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        // Text in memory: writing it can't fail.
        let _ = writeln!(table, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    table.push_str("]\n");
    fs::write(out, table)
}

fn walk(directory: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", directory.display());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let is_left_behind =
            file_name.starts_with('.') || file_name.ends_with(".egg-info") || LEFT_BEHIND.contains(&file_name.as_str());
        if is_left_behind {
            continue;
        }
        let name = format!("{name}/{file_name}");
        match entry.file_type()? {
            kind if kind.is_dir() => walk(&entry.path(), &name, files)?,
            kind if kind.is_file() => files.push((name, fs::canonicalize(entry.path())?)),
            _ => {}
        }
    }
    Ok(())
}
