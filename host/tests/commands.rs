//! The commands that need no broker, run as a person runs them: what they print, and their exit codes.
//!
//! `UPDATE_EXPECT=1` writes the expected texts anew; read the difference before you keep it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the manifests and of the expected texts.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands")
}

fn millstream(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    // The width of help texts, and variables that the manifests refer to, must not depend on who runs the test.
    command.current_dir(folder()).args(arguments).env_remove("COLUMNS").env_remove("BROKER_PASSWORD");
    command.output().expect("the program runs")
}

/// Runs the program and compares what it prints with `expected`.
#[track_caller]
fn check(arguments: &[&str], exit_code: i32, expected: &str) {
    check_output(&millstream(arguments), exit_code, expected);
}

/// Compares what the program printed with `expected`.
#[track_caller]
fn check_output(output: &Output, exit_code: i32, expected: &str) {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let said = format!("{out}{}{errors}", if errors.is_empty() { "" } else { "--- standard error\n" });
    assert_eq!(output.status.code(), Some(exit_code), "{said}");
    let path = folder().join(expected);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &said).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, expected, "{}; UPDATE_EXPECT=1 writes the new text", path.display());
}

#[test]
fn help_tells_every_command_and_the_exit_codes() {
    check(&["--help"], 0, "help.txt");
}

#[test]
fn each_command_has_its_help() {
    for command in ["run", "dev", "validate", "check", "inspect", "topology", "build", "new", "test"] {
        check(&[command, "--help"], 0, &format!("help-{command}.txt"));
    }
}

#[test]
fn a_missing_tool_chain_is_named_with_the_command_that_installs_it() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    for plugin in ["sessions", "parse-readings", "words"] {
        let source = plugins.join(plugin).display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(["build", &source]).env("PATH", "").env_remove("WASI_SDK_PATH");
        check_output(&command.output().expect("the program runs"), 64, &format!("no-tool-chain-{plugin}.txt"));
    }
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    for arguments in [&["nothing"][..], &["topology"], &["validate"], &["topology", "app.toml", "--format", "png"]] {
        let output = millstream(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_valid_manifest_is_summarised() {
    check(&["validate", "app.toml"], 0, "validate.txt");
}

#[test]
fn settings_are_printed_with_their_origins_and_without_secrets() {
    let arguments = ["validate", "app.toml", "--print", "--group-protocol", "solo"];
    check(&arguments, 0, "validate-print.txt");
    let output = millstream(&arguments);
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains("hunter2"));
}

#[test]
fn a_wrong_manifest_ends_with_64_and_all_its_mistakes() {
    check(&["validate", "wrong.toml"], 64, "validate-wrong.txt");
    check(&["topology", "wrong.toml"], 64, "topology-wrong.txt");
}

#[test]
fn a_manifest_that_is_not_there_ends_with_64() {
    check(&["validate", "missing.toml"], 64, "validate-missing.txt");
}

#[test]
fn a_component_that_is_not_there_is_a_mistake() {
    check(&["validate", "no-component.toml"], 64, "validate-no-component.txt");
}

#[cfg(feature = "kafka")]
#[test]
fn properties_that_the_clients_refuse_are_mistakes() {
    check(&["validate", "wrong-kafka.toml"], 64, "validate-wrong-kafka.txt");
}

#[test]
fn a_topology_is_shown_as_text_drawing_and_json() {
    check(&["topology", "app.toml"], 0, "topology.txt");
    check(&["topology", "app.toml", "--format", "mermaid"], 0, "topology.mmd");
    check(&["topology", "app.toml", "--format", "dot"], 0, "topology.dot");
    check(&["topology", "app.toml", "--format", "json"], 0, "topology.json");
}

#[test]
fn the_schema_names_every_table() {
    let output = millstream(&["validate", "--schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let tables = schema["properties"].as_object().expect("properties");
    let mut names: Vec<&str> = tables.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = ["application", "kafka", "plugins", "processors", "sinks", "sources", "stores", "topic"];
    assert_eq!(names, expected);
    assert_eq!(schema["properties"]["application"]["properties"]["stream-threads"]["default"], 1);
}
