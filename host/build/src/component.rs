//! A core module becomes a component.

use std::path::Path;

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wasmparser::Validator;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::decoding::decode_world;
use wit_parser::{PackageId, Resolve, SourceMap};

use crate::contract::{WIT_FILES, WORLDS};
use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"\0asm";
/// Version and layer of a core module, as they follow the magic number.
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];
/// The layer, in the third of these bytes, that marks a component.
const COMPONENT_LAYER: u8 = 1;
const CUSTOM_SECTION: u8 = 0;
const EXPORT_SECTION: u8 = 7;
/// What the texts begin with that say which interfaces a plugin means; `guest-sdk/go/millstream/processor.go` has them.
const MEANT: &str = "millstream:plugin-exports/";
/// What the names of the sections begin with in which a module says which world it is of.
const METADATA_PREFIX: &[u8] = b"component-type";
/// The module under which the first preview of WASI is imported.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// Makes a component of `module`. `world` is for modules that don't say which world they are of; without it, what they
/// export tells. `path` is named in errors.
///
/// # Errors
///
/// When it is no core module, or doesn't fit its world.
pub fn from_core_module(module: &[u8], world: Option<&str>, path: &Path) -> Result<Vec<u8>> {
    check_is_core_module(module, path)?;
    let mut module = module.to_vec();
    if let Some(world) = world {
        embed_world(&mut module, world, path)?;
    } else if metadata(&module).next().is_none() {
        let interfaces = exported_interfaces(&module);
        if interfaces.is_empty() {
            return Err(Error::NoWorld { path: path.to_owned(), worlds: WORLDS.join(", ") });
        }
        let world = world_of(&interfaces);
        embed(&mut module, &[WIT_FILES.as_slice(), &[("plugin.wit", world.as_str())]].concat(), "plugin", path)?;
    }
    let encode = || {
        // Languages that know only the first preview of WASI import it by this name; for others the adapter is left out.
        let encoder = ComponentEncoder::default().validate(true).module(&module)?;
        encoder.adapter(PREVIEW1, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?.encode()
    };
    encode().map_err(|error| Error::Encode { path: path.to_owned(), reason: format!("{error:#}") })
}

fn check_is_core_module(module: &[u8], path: &Path) -> Result<()> {
    let not_wasm = |reason: &str| Err(Error::NotWasm { path: path.to_owned(), reason: reason.to_owned() });
    let Some((head, _)) = module.split_first_chunk::<8>() else {
        return not_wasm("it is shorter than the head of a module");
    };
    if &head[..4] != MAGIC {
        return not_wasm("it doesn't begin as one");
    }
    if head[6] == COMPONENT_LAYER {
        return Err(Error::IsComponent { path: path.to_owned() });
    }
    if head[4..] != CORE_MODULE {
        return not_wasm("it is of an unknown version");
    }
    // What makes a component of it takes for granted that it is whole.
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    Validator::new().validate_all(module).map_err(|error| damaged(error.to_string()))?;
    for section in metadata(module) {
        let (resolve, _) = decode_world(section).map_err(|error| damaged(format!("{error:#}")))?;
        if has_circle(&resolve) {
            return Err(damaged("the packages of its world need each other".to_owned()));
        }
    }
    Ok(())
}

/// Whether packages need each other in a circle, round which the encoder would run until its stack ends.
fn has_circle(resolve: &Resolve) -> bool {
    let mut rest: Vec<PackageId> = resolve.packages.iter().map(|(package, _)| package).collect();
    loop {
        let before = rest.len();
        let needs_none =
            |package: &PackageId| !resolve.package_direct_deps(*package).any(|needed| rest.contains(&needed));
        let kept: Vec<PackageId> = rest.iter().copied().filter(|package| !needs_none(package)).collect();
        if kept.len() == before {
            return before > 0;
        }
        rest = kept;
    }
}

fn embed_world(module: &mut Vec<u8>, world: &str, path: &Path) -> Result<()> {
    if !WORLDS.contains(&world) {
        return Err(Error::UnknownWorld { world: world.to_owned(), worlds: WORLDS.join(", ") });
    }
    embed(module, &WIT_FILES, world, path)
}

/// Lets the module say that it is of `world`, which is described in `files`.
fn embed(module: &mut Vec<u8>, files: &[(&str, &str)], world: &str, path: &Path) -> Result<()> {
    let mut embed = || {
        let mut sources = SourceMap::new();
        for (name, text) in files {
            sources.push_str(name, *text);
        }
        let mut resolve = Resolve::default();
        let group = sources.parse().map_err(|(_, error)| error)?;
        let package = resolve.push_group(group)?;
        let world = resolve.select_world(&[package], Some(world))?;
        embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)
    };
    embed().map_err(|error| Error::Encode { path: path.to_owned(), reason: format!("{error:#}") })
}

/// A world that imports what any of the worlds does (what the module doesn't use is left out), and exports `interfaces`.
fn world_of(interfaces: &[&str]) -> String {
    let imports = ["types", "context", "state", "log"].map(|interface| format!("import {interface}; "));
    let exports: String = interfaces.iter().map(|interface| format!("export {interface}; ")).collect();
    format!("package millstream:processor@0.1.0;\nworld plugin {{ {}{exports}}}\n", imports.concat())
}

/// What the custom sections hold that say which world the module is of.
fn metadata(module: &[u8]) -> impl Iterator<Item = &[u8]> {
    let custom = sections(module).filter(|(id, _)| *id == CUSTOM_SECTION);
    let named = custom.filter_map(|(_, section)| split_name(section));
    named.filter(|(name, _)| name.starts_with(METADATA_PREFIX)).map(|(_, content)| content)
}

/// The interfaces of the contract that a module exports: exports carry the names of their interfaces. A language whose
/// compiler exports all that is linked (Go) says besides, in texts in its memory, which of them the plugin means.
fn exported_interfaces(module: &[u8]) -> Vec<&'static str> {
    let exports = sections(module).find(|(id, _)| *id == EXPORT_SECTION).map_or(&[][..], |(_, section)| section);
    let interfaces = WORLDS.map(|world| world.strip_prefix("plugin-").unwrap_or(world));
    let exported = interfaces.iter().filter(|interface| {
        let prefix = format!("millstream:processor/{interface}@");
        contains(exports, prefix.as_bytes())
    });
    let exported: Vec<&'static str> = exported.copied().collect();
    let meant = exported.iter().filter(|interface| contains(module, format!("{MEANT}{interface};").as_bytes()));
    let meant: Vec<&'static str> = meant.copied().collect();
    if meant.is_empty() { exported } else { meant }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The sections of a module. It ends where they can't be read: the encoder complains about that in better words.
fn sections(module: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = module.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (id, tail) = rest.split_first()?;
        let (size, tail) = split_leb128(tail)?;
        let (section, tail) = tail.split_at_checked(size)?;
        rest = tail;
        Some((*id, section))
    })
}

/// Splits a name off.
fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, bytes) = split_leb128(bytes)?;
    bytes.split_at_checked(length)
}

/// Splits an unsigned number of at most 32 bits off.
fn split_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_usize;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}
