//! The command line: what can be asked, and with which options.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use millstream_core::id::TopicName;
use millstream_core::topology::check_topic_name;

use crate::config::{GroupProtocol, Overrides};
use crate::dev::input::InputSpec;
use crate::dev::view::FormatRule;

/// What `--help` says of exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0   ended as it should
  64  the command line or the manifest is wrong
  70  a bug of millstream
  1   anything else: broker, disk, plugin";

/// Runs stream processors written in any language that compiles to WebAssembly.
#[derive(Clone, Debug, Parser)]
#[command(name = "millstream", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// How log lines are written, to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked of `millstream`.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run an application on Kafka.
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Run an application without a broker, on files and the terminal.
    #[command(after_help = EXIT_CODES)]
    Dev(DevArgs),
    /// Check a manifest, and tell all its mistakes at once.
    #[command(after_help = EXIT_CODES)]
    Validate(ValidateArgs),
    /// Check a whole application before anything starts: manifest, components, and what each node asks of them.
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Show the topology of an application.
    #[command(after_help = EXIT_CODES)]
    Topology(TopologyArgs),
    /// Say what a component is: world, processors, stores, children, imports against what is granted.
    #[command(after_help = EXIT_CODES)]
    Inspect(InspectArgs),
    /// Build a plugin: a directory with its sources, or a core module, becomes a component.
    #[command(after_help = EXIT_CODES)]
    Build(BuildArgs),
    /// Make the directory of a new plugin: source, manifest, a case, README.
    #[command(after_help = EXIT_CODES)]
    New(NewArgs),
    /// Play cases against applications: real components, no broker.
    #[command(after_help = EXIT_CODES, after_long_help = TEST_HELP)]
    Test(TestArgs),
}

impl Command {
    /// What is logged when nobody says it. Results of tests are not to drown in what goes well; that a plugin is being
    /// compiled, which may take seconds, is told.
    #[must_use]
    pub fn log_levels(&self) -> &'static str {
        if let Self::Test(_) = self { "warn,millstream_wasm::runtime=info" } else { "info" }
    }
}

/// What `millstream test --help` says of cases.
const TEST_HELP: &str = "\
Cases are .toml and .yaml files in folders named `cases`:

  app: ../millstream.toml          # default: the nearest millstream.toml above
  cases:
    - name: words are counted
      steps:
        - {pipe: lines, value: \"to be or not to be\"}
        - {expect: counts, key: to, value: {long: 1}}
        - {advance: 10s}
        - {store: counts-store, key: to, value: {long: 2}}

Steps: pipe, advance, restart; expect, expect-nothing, store, failure, left-out.
Keys and values: a text, {long: 5}, {integer: 5}, {double: 1.5}, {json: {..}}, {base64: ..};
expected ones also {any: true} and {contains: ..}; what is missing is null.
Of a case: name, steps, partitions, start, commit, ignore.

Exit codes:
  0   all cases passed
  1   a case failed
  64  the command line, a case file or a manifest is wrong
  70  a bug of millstream";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `millstream run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The application's manifest.
    #[arg(value_name = "APP")]
    pub manifest: PathBuf,
    /// At the end give the tasks up at once. Otherwise they wait for this process to come back, for as long as the session lasts.
    #[arg(long)]
    pub leave_on_stop: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the command's help text")]
    pub overrides: OverrideArgs,
}

/// Options that are stronger than the manifest.
#[derive(Clone, Debug, Default, Args)]
pub struct OverrideArgs {
    /// Who decides which process runs which task, instead of the manifest's `group-protocol`.
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub group_protocol: Option<GroupProtocol>,
    /// Where state is kept, instead of the manifest's `state-dir`.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

impl From<OverrideArgs> for Overrides {
    fn from(args: OverrideArgs) -> Self {
        Self { group_protocol: args.group_protocol, state_dir: args.state_dir }
    }
}

/// `millstream dev`.
#[derive(Clone, Debug, Args)]
pub struct DevArgs {
    /// The application's manifest.
    #[arg(value_name = "APP")]
    pub manifest: PathBuf,
    /// Write the lines of a file (`-` is standard input) to a topic; may be repeated.
    #[arg(long, value_name = "TOPIC=PATH")]
    pub input: Vec<InputSpec>,
    /// Print the records of a topic; may be repeated. Without it, those of all fixed topics that the application writes to.
    #[arg(long, value_name = "TOPIC")]
    pub print: Vec<TopicName>,
    /// How the bytes of a field (key, value, headers) are printed: auto, string, long, integer, double, json or base64; may be
    /// repeated.
    #[arg(long, value_name = "[[TOPIC:]FIELD=]FORMAT", value_delimiter = ',')]
    pub format: Vec<FormatRule>,
    /// Each line of the input is a value, instead of a record in JSON.
    #[arg(long)]
    pub lines: bool,
    /// At the end of a file, wait for more.
    #[arg(long)]
    pub follow: bool,
    /// Keep topics and positions in this folder, so that the next run goes on where this one ends.
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// The number of partitions of a topic; may be repeated.
    #[arg(long, value_name = "TOPIC=N")]
    pub partitions: Vec<TopicPartitions>,
    /// Where state is kept, instead of the manifest's `state-dir`; in memory without `--log-dir`.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// `TOPIC=N`: the number of partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// The topic.
    pub topic: TopicName,
    /// Its number of partitions, at least 1.
    pub partitions: i32,
}

/// The most partitions that a topic of the embedded log may have: each costs a few files and a task.
const PARTITIONS_MAX: i32 = 1024;

impl FromStr for TopicPartitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (topic, number) = text.split_once('=').ok_or_else(|| format!("`{text}` is not TOPIC=N"))?;
        check_topic_name(topic).map_err(|why| format!("topic {topic:?} {why}"))?;
        let partitions = number.parse().ok().filter(|number| (1..=PARTITIONS_MAX).contains(number));
        let partitions = partitions.ok_or_else(|| format!("`{number}` is not a number from 1 to {PARTITIONS_MAX}"))?;
        Ok(Self { topic: TopicName::from(topic), partitions })
    }
}

/// `millstream validate`.
#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// The application's manifest.
    #[arg(value_name = "APP", required_unless_present = "schema")]
    pub manifest: Option<PathBuf>,
    /// Print every setting in force and where it came from; secrets are hidden.
    #[arg(long)]
    pub print: bool,
    /// Print the JSON Schema of manifests, for editors.
    #[arg(long, conflicts_with_all = ["manifest", "print"])]
    pub schema: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the command's help text")]
    pub overrides: OverrideArgs,
}

/// `millstream check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The application's manifest.
    #[arg(value_name = "APP")]
    pub manifest: PathBuf,
    /// How it is told.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
}

/// `millstream inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// The component (.wasm).
    #[arg(value_name = "PLUGIN")]
    pub component: PathBuf,
    /// How it is told.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
}

/// How a report is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// In plain words.
    Text,
    /// For programs.
    Json,
}

/// `millstream topology`.
#[derive(Clone, Debug, Args)]
pub struct TopologyArgs {
    /// The application's manifest.
    #[arg(value_name = "APP")]
    pub manifest: PathBuf,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t = TopologyFormat::Text)]
    pub format: TopologyFormat,
}

/// How a topology is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TopologyFormat {
    /// As Kafka's `Topology#describe` prints it.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
    /// For programs.
    Json,
}

/// `millstream build`.
#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// The directory of a plugin (with a Cargo.toml, package.json, pyproject.toml, go.mod or C sources) or of several, or a core module (.wasm).
    #[arg(value_name = "SOURCE", default_value = ".")]
    pub source: PathBuf,
    /// Where the component is written.
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// The world of a core module that does not say it itself.
    #[arg(long, value_name = "WORLD")]
    pub world: Option<String>,
    /// Install what is missing of the language's tool chain.
    #[arg(long)]
    pub install: bool,
    /// Build again, and run the cases, when a file has changed.
    #[arg(long)]
    pub watch: bool,
}

/// `millstream new`.
#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// The language that the plugin is written in.
    #[arg(long, value_enum)]
    pub lang: Language,
    /// The new directory, or an empty one (`.`); its last part is the plugin's name: lower-case letters, digits and dashes.
    #[arg(value_name = "NAME")]
    pub path: PathBuf,
}

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust.
    Rust,
    /// JavaScript.
    Js,
    /// TypeScript.
    Ts,
    /// Python.
    Python,
    /// Go.
    Go,
    /// C.
    C,
}

impl Language {
    /// What it is called.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Js => "JavaScript",
            Self::Ts => "TypeScript",
            Self::Python => "Python",
            Self::Go => "Go",
            Self::C => "C",
        }
    }
}

/// `millstream test`.
#[derive(Clone, Debug, Default, Args)]
pub struct TestArgs {
    /// Files of cases, or directories below which they are.
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// Run the cases whose names contain this text.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Write what came out into the files of the cases that fail.
    #[arg(long)]
    pub update: bool,
    /// Write a report in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Run again when a case, a manifest or a component has changed.
    #[arg(long)]
    pub watch: bool,
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Ended as it should.
    Clean = 0,
    /// Broker, disk, plugin, or anything else outside.
    Other = 1,
    /// The command line or the manifest is wrong.
    Usage = 64,
    /// A bug of millstream.
    Internal = 70,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
