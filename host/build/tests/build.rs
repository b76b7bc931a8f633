//! Real plugins are built, with the toolchain of this machine, and what can't be built says why.

use std::path::{Path, PathBuf};

use millstream_build::component::from_core_module;
use millstream_build::{Request, build};

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("the directory for tests can be written");
    path
}

fn refusal(request: &Request) -> String {
    let error = build(request, &mut |_| {}).expect_err("this can't be built").to_string();
    error.replace(&format!("{}/", env!("CARGO_TARGET_TMPDIR")), "").replace(&plugins().display().to_string(), "plugins")
}

fn refused_file(name: &str, bytes: &[u8], world: Option<&str>) -> String {
    refusal(&Request { source: file(name, bytes), world: world.map(str::to_owned), ..Request::default() })
}

const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

#[test]
fn a_workspace_of_plugins_becomes_components_and_a_second_build_changes_nothing() {
    let mut reports = Vec::new();
    let request = Request { source: plugins(), ..Request::default() };
    let built = build(&request, &mut |line| reports.push(line.to_owned())).expect("the sample plugins can be built");
    assert!(reports.iter().any(|line| line.contains("compiling")), "{reports:?}");
    let words = built.iter().find(|plugin| plugin.name == "words").expect("the plugin `words`");
    assert!(words.path.ends_with("plugins/target/components/words.wasm"), "{}", words.path.display());
    let bytes = std::fs::read(&words.path).expect("the component is there");
    assert_eq!((&bytes[..4], bytes[6], bytes.len()), (&b"\0asm"[..], 1, words.bytes));
    assert!(words.digest.starts_with("sha256:") && words.digest.len() == 7 + 64, "{}", words.digest);

    let again = build(&request, &mut |_| {}).expect("they can be built again");
    assert!(again.iter().all(|plugin| !plugin.is_new), "{again:?}");
    assert_eq!(again.len(), built.len());
}

#[test]
fn plugins_in_go_and_c_become_components_and_a_second_build_changes_nothing() {
    for name in ["sessions", "parse-readings"] {
        let request = Request { source: plugins().join(name), ..Request::default() };
        let built = build(&request, &mut |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(built.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(), [name]);
        assert!(built[0].path.ends_with(format!("{name}/target/components/{name}.wasm")), "{:?}", built[0].path);
        let again = build(&request, &mut |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!again[0].is_new && again[0].digest == built[0].digest, "{again:?}");
        assert_eq!(exports_of(&built[0].path), ["millstream:processor/processor@0.1.0"], "what it means, and no more");
    }
}

/// The interfaces that a component exports.
fn exports_of(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).expect("the component is there");
    let Ok(wit_component::DecodedWasm::Component(resolve, world)) = wit_component::decode(&bytes) else {
        panic!("{} is no component", path.display());
    };
    resolve.worlds[world].exports.keys().map(|key| resolve.name_world_key(key)).collect()
}

#[test]
fn a_mistake_in_a_plugin_is_the_compiler_s_to_explain() {
    let sources = [
        ("wrong-c", &[("wrong.c", "#include \"millstream.h\"\nMS_PROCESSORS(wrong)\n")][..], "clang"),
        (
            "wrong-go",
            &[("go.mod", "module wrong\n\ngo 1.26\n"), ("main.go", "package main\n\nfunc main() { wrong }\n")],
            "go",
        ),
    ];
    for (name, files, tool) in sources {
        let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&source).expect("the directory for tests can be written");
        for (file, text) in files {
            std::fs::write(source.join(file), text).expect("the directory for tests can be written");
        }
        let refused = refusal(&Request { source, ..Request::default() });
        assert_eq!(refused, format!("{tool} could not compile {name}; its messages are above"));
    }
}

/// The fenced blocks of a document: their language and their text.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    let fenced = document.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

#[test]
fn the_plugin_and_the_test_in_the_readme_of_javascript_fit_together() {
    let sdk = plugins().join("../guest-sdk/js");
    let readme = std::fs::read_to_string(sdk.join("README.md")).expect("the SDK has a README");
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shout");
    let write = |path: &str, text: &str| {
        let path = source.join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("the directory for tests can be written");
        std::fs::write(path, text).expect("the directory for tests can be written");
    };
    let mut written = Vec::new();
    for (language, text) in blocks(&readme) {
        let named = text.strip_prefix("// ").and_then(|rest| rest.lines().next()).filter(|_| language == "ts");
        let path = if language == "json" { Some("package.json") } else { named };
        if let Some(path) = path {
            write(path, &text.replace("file:sdk", &format!("file:{}", sdk.display())));
            written.push(path);
        }
    }
    assert_eq!(written, ["package.json", "src/index.ts", "test/index.test.ts"]);
    // The types of Node.js are not at hand.
    write("test/node.d.ts", "declare module \"node:assert/strict\";\ndeclare module \"node:test\";\n");
    let template = std::fs::read_to_string(sdk.join("template-ts/tsconfig.json")).expect("the template has types");
    write("tsconfig.json", &template.replace("[\"src\"]", "[\"src\", \"test\"]"));
    let built = build(&Request { source, ..Request::default() }, &mut |_| {}).expect("it can be built as it stands");
    assert_eq!(built[0].name, "shout");
}

#[test]
fn the_tests_of_the_typescript_template_are_compiled_by_the_esbuild_that_compiles_plugins() {
    let read = |path: &str| std::fs::read_to_string(plugins().join("..").join(path)).expect("the file is there");
    let tools: serde_json::Value = serde_json::from_str(&read("host/build/src/javascript/package.json")).expect("JSON");
    let version = tools["dependencies"]["esbuild"].as_str().expect("a version");
    assert!(read("guest-sdk/js/template-ts/package.json").contains(&format!("esbuild@{version} ")), "{version}");
}

#[test]
fn one_plugin_can_be_built_to_a_file_of_one_s_own() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deep/own.wasm");
    let request = Request { source: plugins().join("identity"), out: Some(out.clone()), ..Request::default() };
    let built = build(&request, &mut |_| {}).expect("the plugin can be built");
    assert_eq!(built.len(), 1);
    assert_eq!(built[0].path, out);
    assert!(out.is_file());
}

#[test]
fn what_is_no_core_module_is_refused_in_plain_words() {
    assert_eq!(
        refused_file("short.wasm", b"\0asm", None),
        "short.wasm is no WebAssembly module: it is shorter than the head of a module"
    );
    assert_eq!(
        refused_file("text.wasm", b"hello, world", None),
        "text.wasm is no WebAssembly module: it doesn't begin as one"
    );
    assert_eq!(
        refused_file("component.wasm", b"\0asm\x0d\0\x01\0", None),
        "component.wasm is a component already: use it as it is"
    );
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// The bytes cut short, or with some of them changed.
fn damaged(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    if numbers.below(3) == 0 {
        damaged.truncate(numbers.below(bytes.len()));
        return damaged;
    }
    for _ in 0..=numbers.below(4) {
        // The heads of sections and what they say of themselves are near the ends; most of a module is code.
        let near = 1 + numbers.below(4_096.min(bytes.len()));
        let place = match numbers.below(3) {
            0 => near - 1,
            1 => bytes.len() - near,
            _ => numbers.below(bytes.len()),
        };
        damaged[place] =
            if numbers.below(2) == 0 { damaged[place] ^ (1 << numbers.below(8)) } else { numbers.below(256) as u8 };
    }
    damaged
}

/// How often a module is damaged.
const DAMAGES: usize = 400;

#[test]
fn a_damaged_module_becomes_a_component_or_is_refused_but_never_ends_the_program() {
    let request = Request { source: plugins().join("parse-readings"), ..Request::default() };
    build(&request, &mut |_| {}).expect("the plugin can be built");
    let module = std::fs::read(plugins().join("parse-readings/target/c/plugin.wasm")).expect("clang has made it");
    // What other languages make says itself which world it is of.
    let mut telling = module.clone();
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(plugins().join("../wit")).expect("the contract");
    let world = resolve.select_world(&[package], Some("plugin-processor")).expect("a world");
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut telling, &resolve, world, encoding).expect("it fits");
    let mut numbers = Numbers(1);
    let mut refused = 0;
    for module in [&module, &telling] {
        for _ in 0..DAMAGES {
            let damaged = damaged(module, &mut numbers);
            // For whoever looks for what has ended the program.
            let path = file("damaged.wasm", &damaged);
            refused += usize::from(from_core_module(&damaged, None, &path).is_err());
        }
    }
    assert!(refused > DAMAGES, "only {refused} were refused");
    let half = refused_file("half.wasm", &module[..module.len() / 2], None);
    let expected = "half.wasm is cut short, damaged, or uses features that are not supported: ";
    assert!(half.starts_with(expected), "{half}");
}

#[test]
fn a_module_must_say_its_world_or_be_told() {
    assert_eq!(
        refused_file("empty.wasm", EMPTY_MODULE, None),
        "empty.wasm doesn't say which world it is made for: build it with one of Millstream's SDKs, or give `--world` \
         with one of plugin-processor, plugin-predicate, plugin-key-selector"
    );
    assert_eq!(
        refused_file("empty.wasm", EMPTY_MODULE, Some("plugin")),
        "there is no world `plugin`: the worlds are plugin-processor, plugin-predicate, plugin-key-selector"
    );
    let refused = refused_file("lacking.wasm", EMPTY_MODULE, Some("plugin-predicate"));
    assert!(refused.starts_with("lacking.wasm can't become a component: "), "{refused}");
    assert!(refused.contains("millstream:processor/predicate@0.1.0"), "{refused}");
}

#[test]
fn a_directory_must_hold_a_plugin() {
    let request = Request { source: plugins().join("words/src"), ..Request::default() };
    assert_eq!(
        refusal(&request),
        "plugins/words/src holds no plugin: name a directory with a Cargo.toml, package.json, pyproject.toml, go.mod or C source, a directory of such \
         directories, or a core module"
    );
    let request = Request { source: plugins(), out: Some("one.wasm".into()), ..Request::default() };
    let mut reports = Vec::new();
    let error = build(&request, &mut |line| reports.push(line.to_owned())).expect_err("one file for many");
    assert!(error.to_string().contains("name one of their directories"), "{error}");
    assert!(reports.iter().all(|line| !line.contains("compiling")), "{reports:?}");
}

#[test]
fn a_component_is_not_written_where_a_directory_is_and_nothing_is_left_behind() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("out");
    let _ = std::fs::remove_dir_all(&folder);
    let out = folder.join("taken");
    std::fs::create_dir_all(&out).expect("the directory for tests can be written");
    let request = Request { source: file("taken.wasm", EMPTY_MODULE), out: Some(out), ..Request::default() };
    assert_eq!(refusal(&request), "out/taken is a directory: name the file that the component is to be written to");
    assert_eq!(std::fs::read_dir(folder).expect("it is there").count(), 1);
}
