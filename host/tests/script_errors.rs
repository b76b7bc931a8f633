//! What `millstream build` says of plugins in JavaScript, TypeScript and Python that can't be built: file and line, in
//! the tools' own words, and what to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const GUEST_SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk");

/// A plugin with this source, in a directory of its own.
fn plugin(name: &str, source: &str, text: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("script-errors").join(name);
    let _ = fs::remove_dir_all(&directory);
    let write = |file: &str, text: &str| {
        let path = directory.join(file);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory can be made");
        fs::write(path, text).expect("the file can be written");
    };
    write(source, text);
    if source.ends_with(".py") {
        let settings = format!("[tool.millstream]\nmodule = \"it\"\npath = [\"src\", \"{GUEST_SDK}/python/src\"]\n");
        write(
            "pyproject.toml",
            &format!("[project]\nname = \"{name}\"\ndependencies = [\"millstream\"]\n\n{settings}"),
        );
    } else {
        let sdk = format!("file:{GUEST_SDK}/js");
        let package =
            format!("{{\"name\":\"{name}\",\"main\":\"{source}\",\"dependencies\":{{\"@millstream/sdk\":\"{sdk}\"}}}}");
        write("package.json", &package);
    }
    directory
}

/// What the command says when it refuses the directory.
fn refusal(directory: &Path, path: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.arg("build").arg(directory);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command.output().expect("the program can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(output.stdout.is_empty(), "nothing was built");
    said
}

#[track_caller]
fn check(name: &str, source: &str, text: &str, expected: &[&str]) {
    let said = refusal(&plugin(name, source, text), None);
    for part in expected {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn javascript_that_is_none_is_told_with_file_and_line() {
    check(
        "js-syntax",
        "src/index.js",
        "import { plugin } from \"@millstream/sdk\";\n\nclass A { process( {\n",
        &["src/index.js:4:0", "JavaScript's tools could not compile", "its messages are above"],
    );
    check("js-import", "src/index.js", "import \"fs\";\n", &["src/index.js:1:7", "Could not resolve \"fs\""]);
    check("js-nothing", "src/index.js", "export const a = 1;\n", &["exports no plugin", "export default plugin("]);
    check("js-throws", "src/index.js", "\nthrow new Error(\"too early\");\n", &["Error: too early", "src/index.js:2"]);
}

#[test]
fn a_wrong_type_is_told_with_file_and_line() {
    let text = "import { plugin, type Context, type Record } from \"@millstream/sdk\";\n\
                class A {\n  process(record: Record, context: Context) {\n    context.forward(record.value);\n  }\n}\n\
                export default plugin({ processors: { a: A } });\n";
    check("ts-type", "src/index.ts", text, &["src/index.ts(4,21): error TS2345", "TypeScript could not compile"]);
}

#[test]
fn python_that_is_none_is_told_with_file_and_line() {
    check(
        "py-syntax",
        "src/it.py",
        "import millstream\n\ndef process(:\n",
        &["it.py\", line 3", "SyntaxError", "Python could not compile"],
    );
    check("py-raises", "src/it.py", "import millstream\n1 / 0\n", &["it.py\", line 2", "ZeroDivisionError"]);
    check("py-nothing", "src/it.py", "import millstream\n", &["it names no processor: put `@processor(\"name\")`"]);
    check(
        "py-async",
        "src/it.py",
        "from millstream import Processor, processor\n\n@processor('a')\nclass A(Processor):\n    \
         async def process(self, record, context): pass\n",
        &["it.py\", line 3", "`process` of `A` must not be async: a record's work ends with the call"],
    );
    check("py-import", "src/it.py", "import numpy_that_is_not_there\n", &["No module named 'numpy_that_is_not_there'"]);
}

#[test]
fn python_that_has_the_name_of_another_module_is_refused() {
    let directory = plugin("py-typing", "src/typing.py", "import millstream\n");
    fs::write(directory.join("pyproject.toml"), "[project]\nname = \"typing\"\n").expect("the file can be written");
    let said = refusal(&directory, None);
    assert!(
        said.contains("`typing` is a module of Python's standard library: give the plugin's another name"),
        "{said}"
    );
}

#[test]
fn a_missing_tool_chain_is_named_with_the_command_that_installs_it() {
    let javascript = plugin("js-tools", "src/index.js", "");
    let said = refusal(&javascript, Some(""));
    assert!(said.contains("a plugin in JavaScript can't be built: there is no `node` (18.0 or later is needed, and npm); run `apt-get install"), "{said}");
    assert!(
        said.contains("nodejs npm` (or this command with `--install`), or get Node.js from https://nodejs.org"),
        "{said}"
    );
    let python = plugin("py-tools", "src/it.py", "");
    let said = refusal(&python, Some(""));
    assert!(
        said.contains("a plugin in Python can't be built: there is no `python3` (3.11 or later is needed, with venv)"),
        "{said}"
    );
    assert!(said.contains("python3 python3-venv` (or this command with `--install`)"), "{said}");
}

#[test]
fn a_project_file_that_says_too_little_is_named() {
    let directory = plugin("js-main", "src/index.js", "");
    fs::write(directory.join("package.json"), "{\"main\": \"src/other.js\"}").expect("the file can be written");
    assert!(refusal(&directory, None).contains("package.json: its `main` is src/other.js, which is not there"));
    let directory = plugin("py-path", "src/it.py", "");
    fs::write(directory.join("pyproject.toml"), "[project]\nname = \"it\"\n[tool.millstream]\npath = [\"lib\"]\n")
        .expect("the file can be written");
    assert!(refusal(&directory, None).contains("lib, which is not there"));
    fs::write(directory.join("pyproject.toml"), "[project\n").expect("the file can be written");
    assert!(refusal(&directory, None).contains("pyproject.toml: it is no TOML: "));
}
