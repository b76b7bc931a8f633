//! What a plugin in Python meets only as a component: it has what was imported when it was built and no more, and what it
//! tells the host must be UTF-8. And when it is built again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk/python/src");

/// Answers what the expression in a record's value gives.
const PLUGIN: &str = r#"
import codecs, socket, time, warnings, zoneinfo
from datetime import datetime

from millstream import Fatal, Processor, Skip, processor


def skip(reason):
    raise Skip(reason)


def fail(reason):
    raise ValueError(reason)


@processor("it")
class It(Processor):
    def __init__(self, setup):
        if ending := setup.config.get("ending"):
            raise {"fatal": Fatal, "other": ValueError, "child": setup.child}[ending]("so \ud800")

    def process(self, record, context):
        found = eval(record.value)
        if isinstance(found, str):
            record = record.with_value(found)
        else:
            record = record.with_headers([(found[0], b"v")])
        context.forward(record)
"#;

/// A package of time zones with one zone, an hour before Greenwich.
const ZONE: &[u8] = b"TZif\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\
                      \0\0\x0e\x10\0\0CET\0";

/// A directory that goes when the test ends.
struct Project(PathBuf);

impl Project {
    fn new(name: &str) -> Self {
        let project = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-components").join(name));
        let _ = fs::remove_dir_all(&project.0);
        let path = format!("[tool.millstream]\nmodule = \"it\"\npath = [\"src\", \"{SDK}\"]\n");
        project.write("pyproject.toml", format!("[project]\nname = \"it\"\ndependencies = [\"millstream\"]\n\n{path}"));
        project
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory can be made");
        fs::write(path, text).expect("the file can be written");
    }

    /// Runs the program in it; what it says.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        let output = command.current_dir(&self.0).args(arguments).output().expect("the program can be started");
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert!(output.status.success(), "millstream {arguments:?}: {said}");
        said
    }

    /// An application with the plugin, and a case of it.
    fn write_case(&self, name: &str, config: &str, steps: &[String]) {
        let manifest = format!(
            "[application]\nid = \"it\"\n\n[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n\n[plugins.it]\n\
             component = \"target/components/{}.wasm\"\n\n[sources.in]\ntopics = [\"in\"]\n\n[processors.it]\n\
             plugin = \"it\"\ninputs = [\"in\"]\nconfig = {{ {config} }}\n\n[sinks.out]\ntopic = \"out\"\ninputs = [\"it\"]\n",
            self.0.file_name().expect("it has a name").display()
        );
        self.write(&format!("{name}.toml"), manifest);
        let steps: String = steps.iter().map(|step| format!("      - {step}\n")).collect();
        let case = format!("app: ../{name}.toml\ncases:\n  - name: {name}\n    steps:\n{steps}");
        self.write(&format!("cases/{name}.yaml"), case);
    }
}

/// A step that writes an expression.
fn pipe(expression: &str) -> String {
    format!("{{pipe: in, value: {expression:?}}}")
}

#[test]
fn a_component_has_what_was_imported_when_it_was_built() {
    let project = Project::new("library");
    project.write("src/it.py", PLUGIN);
    project.write("src/tzdata/__init__.py", "");
    project.write("src/tzdata/zoneinfo/Europe/Berlin", ZONE);
    let answers = [
        ("datetime.strptime('2026-01-02', '%Y-%m-%d').isoformat()", "2026-01-02T00:00:00"),
        ("str(time.strptime('2026', '%Y').tm_year)", "2026"),
        ("str([b'\\x80'.decode('cp1252'), b'\\xa4'.decode('iso-8859-15')])", "['€', '€']"),
        ("b'x\\0'.decode('utf-16-le') + b'\\xef\\xbb\\xbfy'.decode('utf-8-sig')", "xy"),
        ("'bücher'.encode('idna').decode()", "xn--bcher-kva"),
        ("datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).isoformat()", "2026-01-02T00:00:00+01:00"),
    ];
    let mut steps = Vec::new();
    for (expression, answer) in answers {
        steps.extend([pipe(expression), format!("{{expect: out, value: {answer:?}}}")]);
    }
    project.write_case("answers", "", &steps);
    let failures = [
        (
            "import",
            "__import__('csv')",
            "No module named 'csv'; import it at the top of the module: what is not imported",
        ),
        (
            "codec",
            "b'x'.decode('shift-jis')",
            "unknown encoding: shift-jis; import its module (`encodings.shift_jis`, say)",
        ),
        (
            "socket",
            "socket.create_connection(('localhost', 1))",
            "; a plugin is granted no files, network or processes",
        ),
        ("file", "open('/data.json')", "; a plugin is granted no files, network or processes"),
    ];
    for (name, expression, reason) in failures {
        project.write_case(name, "", &[pipe(expression), format!("{{failure: {reason:?}}}")]);
    }
    project.run(&["build"]);
    project.run(&["test"]);
}

#[test]
fn half_a_character_is_a_question_mark_for_the_host_and_no_trap() {
    let project = Project::new("halves");
    project.write("src/it.py", PLUGIN);
    let header = "{expect: out, value: {any: true}, headers: [[\"a?\", \"v\"]]}";
    let steps = [pipe("skip('\\ud800')"), "{left-out: 1}".to_owned(), pipe("['a\\ud800']"), header.to_owned()];
    project.write_case("records", "", &steps);
    let failure = "{failure: \"refused a record: ValueError: no ?\"}".to_owned();
    project.write_case("other", "", &[pipe("fail('no \\ud800')"), failure]);
    for (ending, reason) in [("fatal", "so ?"), ("other", "ValueError: so ?"), ("child", "there is no child `so ?`")] {
        let config = format!("ending = \"{ending}\"");
        project.write_case(&format!("init-{ending}"), &config, &[format!("{{failure: {reason:?}}}")]);
    }
    project.run(&["build"]);
    project.run(&["test"]);
}

#[test]
fn a_change_of_any_file_beside_the_source_makes_a_new_component() {
    let project = Project::new("changes");
    project.write("src/cases/__init__.py", "NAME = 'one'\n");
    project.write("src/rules/data.sql", "select one");
    project.write("cases/case.py", "");
    let source = "import pathlib\nimport cases\nfrom millstream import Processor, processor\n\
                  RULES = pathlib.Path(__file__).with_name('rules').joinpath('data.sql').read_text() + cases.NAME\n\
                  @processor('it')\nclass It(Processor): pass\n";
    project.write("src/it.py", source);
    let is_built_again = || {
        // A build says so when it compiles.
        project.run(&["build"]).contains("compiling")
    };
    assert!(is_built_again());
    assert!(!is_built_again(), "nothing has changed");
    project.write("cases/case.py", "pass");
    project.write("src/__pycache__/it.pyc", "made");
    assert!(!is_built_again(), "a case of the project, and what Python leaves behind");
    project.write("src/rules/data.sql", "select two");
    assert!(is_built_again(), "data beside the source");
    project.write("src/cases/__init__.py", "NAME = 'two'\n");
    assert!(is_built_again(), "a package whose name is that of the folder for cases");
}
