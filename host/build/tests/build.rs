//! Real plugins are built, with the toolchain of this machine, and what can't be built says why.

use std::path::{Path, PathBuf};

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
    assert!(refusal(&request).contains("name one of their directories"));
}
