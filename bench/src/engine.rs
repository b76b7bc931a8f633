//! The engines: how each is told to run a workload.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::workload::{LANGUAGES_NAME, Program, Workload};

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Millstream, the processor a Rust plugin.
    Millstream,
    /// Millstream, the same work by a native operator, where there is one.
    MillstreamNative,
    /// Kafka Streams with its default settings.
    KafkaStreams,
    /// Kafka Streams with `linger.ms=50` and `batch.size=256 KiB`.
    KafkaStreamsTuned,
    /// A loop that consumes and produces, and nothing else: the limit.
    Librdkafka,
    /// Quix Streams (Python).
    Quix,
    /// Millstream, the processor a plugin in JavaScript.
    MillstreamJavascript,
    /// The same in TypeScript.
    MillstreamTypescript,
    /// The same in Python.
    MillstreamPython,
    /// The same in Go.
    MillstreamGo,
    /// The same in C.
    MillstreamC,
}

/// The engines of workload L: one a language.
pub const LANGUAGES: [Engine; 6] = [
    Engine::Millstream,
    Engine::MillstreamC,
    Engine::MillstreamGo,
    Engine::MillstreamJavascript,
    Engine::MillstreamTypescript,
    Engine::MillstreamPython,
];

/// How often a record has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Once.
    ExactlyOnceV2,
    /// At least once.
    AtLeastOnce,
}

/// The commit interval of every engine under both guarantees: Kafka Streams' default under exactly-once.
pub const COMMIT_INTERVAL_MS: u32 = 100;
/// Kafka Streams has 30 s under at-least-once, so commits would not count in its figures; Quix has 5 s.
const COMMIT_INTERVAL: &str = "100ms";

const TUNED: [&str; 2] = ["producer.linger.ms=50", "producer.batch.size=262144"];

impl Engine {
    /// The name in the results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Millstream => "millstream",
            Self::MillstreamNative => "millstream-native",
            Self::KafkaStreams => "kafka-streams",
            Self::KafkaStreamsTuned => "kafka-streams-tuned",
            Self::Librdkafka => "librdkafka",
            Self::Quix => "quix",
            Self::MillstreamJavascript => "millstream-javascript",
            Self::MillstreamTypescript => "millstream-typescript",
            Self::MillstreamPython => "millstream-python",
            Self::MillstreamGo => "millstream-go",
            Self::MillstreamC => "millstream-c",
        }
    }

    /// The plugin in this engine's language that contains `identity` and `count`; in Rust they are samples.
    fn component(self, installed: &Installed, program: Program) -> PathBuf {
        match self.name().strip_prefix("millstream-") {
            Some(language) if LANGUAGES.contains(&self) => {
                let directory = installed.checkout.join("bench/languages").join(language);
                directory.join("target/components").join(language).with_extension("wasm")
            }
            _ => {
                let name = if program == Program::Count { "get-put-forward.wasm" } else { "identity.wasm" };
                installed.plugins().join(name)
            }
        }
    }

    /// Whether it has a program for the workload.
    #[must_use]
    pub fn can_run(self, workload: &Workload) -> bool {
        if workload.name == LANGUAGES_NAME || self.is_of_languages_only() {
            return workload.name == LANGUAGES_NAME && LANGUAGES.contains(&self);
        }
        match self {
            Self::Millstream | Self::KafkaStreams | Self::KafkaStreamsTuned => true,
            Self::MillstreamNative => native_manifest(workload.program).is_some(),
            Self::Librdkafka => workload.program == Program::PassThrough,
            Self::Quix => quix_program(workload).is_some(),
            _ => false,
        }
    }

    fn is_of_languages_only(self) -> bool {
        LANGUAGES.contains(&self) && self != Self::Millstream
    }
}

impl Guarantee {
    /// The name in the results, in manifests, and of Quix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ExactlyOnceV2 => "exactly-once-v2",
            Self::AtLeastOnce => "at-least-once",
        }
    }
}

/// Where the engines are on this machine.
pub struct Installed {
    /// The checkout.
    pub checkout: PathBuf,
    /// The directory of `millstream` and `raw-loop`.
    pub programs: PathBuf,
    /// The class path of the Java programs.
    pub class_path: String,
    /// Python with Quix Streams; `None` when it is not needed.
    pub python: Option<PathBuf>,
}

impl Installed {
    fn plugins(&self) -> PathBuf {
        self.checkout.join("plugins/target/components")
    }

    /// Looks for what `engines` need, and compiles the Java programs.
    ///
    /// # Errors
    ///
    /// When something is missing.
    pub fn find(checkout: &Path, engines: &[Engine]) -> Result<Self> {
        let myself = std::env::current_exe()?;
        let programs = myself.parent().context("this program lies in a directory")?.to_owned();
        if !programs.join("millstream").exists() {
            bail!("{} is not there: run `make build`", programs.join("millstream").display());
        }
        let needs_java =
            engines.iter().any(|engine| matches!(engine, Engine::KafkaStreams | Engine::KafkaStreamsTuned));
        let class_path = if needs_java {
            output_of(
                Command::new(checkout.join("tests/kafka/java.sh")).arg("--class-path").arg(checkout.join("bench/java")),
            )?
        } else {
            String::new()
        };
        let python = if engines.contains(&Engine::Quix) {
            Some(output_of(&mut Command::new(checkout.join("bench/quix/python.sh")))?.into())
        } else {
            None
        };
        Ok(Self { checkout: checkout.to_owned(), programs, class_path, python })
    }
}

/// The first line that a command prints.
///
/// # Errors
///
/// When it fails.
pub fn output_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("can't run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// One application that an engine is to run.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its id; internal topics begin with it.
    pub id: String,
    /// The broker.
    pub bootstrap: String,
    /// What it reads.
    pub input: String,
    /// What it writes.
    pub output: String,
    /// Where it may keep files.
    pub directory: PathBuf,
    /// The guarantee.
    pub guarantee: Guarantee,
    /// Of Millstream: `consumer` or `solo`. The others are always members of a group.
    pub group_protocol: &'static str,
}

impl Application {
    /// Where it keeps its state.
    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The command that runs `workload` on `engine`.
    ///
    /// # Errors
    ///
    /// When its files can't be written.
    pub fn command(&self, installed: &Installed, engine: Engine, workload: &Workload) -> Result<Command> {
        Ok(match engine {
            Engine::MillstreamNative => {
                let manifest = native_manifest(workload.program).context("there is no native operator for it")?;
                self.millstream(installed, engine, workload, manifest)?
            }
            Engine::Millstream
            | Engine::MillstreamJavascript
            | Engine::MillstreamTypescript
            | Engine::MillstreamPython
            | Engine::MillstreamGo
            | Engine::MillstreamC => self.millstream(installed, engine, workload, manifest(workload.program))?,
            Engine::KafkaStreams => self.kafka_streams(installed, workload, &[]),
            Engine::KafkaStreamsTuned => self.kafka_streams(installed, workload, &TUNED),
            Engine::Librdkafka => {
                let mut command = Command::new(installed.programs.join("raw-loop"));
                let partitions = workload.partitions.to_string();
                command.args([&self.bootstrap, &self.input, &self.output, &partitions, self.guarantee.name()]);
                command
            }
            Engine::Quix => {
                let mut command = Command::new(installed.python.as_deref().context("Quix Streams was not looked for")?);
                command.arg(installed.checkout.join("bench/quix/drain.py"));
                command.arg(quix_program(workload).context("Quix Streams has no program for it")?);
                command.args([&self.bootstrap, &self.id, &self.input, &self.output]).arg(self.state_directory());
                let guarantee = match self.guarantee {
                    Guarantee::ExactlyOnceV2 => "exactly-once",
                    Guarantee::AtLeastOnce => "at-least-once",
                };
                command.args([guarantee, &(f64::from(COMMIT_INTERVAL_MS) / 1000.0).to_string()]);
                command
            }
        })
    }

    fn millstream(
        &self,
        installed: &Installed,
        engine: Engine,
        workload: &Workload,
        manifest: &str,
    ) -> Result<Command> {
        let mut text = format!("{}\n{manifest}", include_str!("../manifests/head.toml"));
        for (name, value) in [
            ("id", self.id.as_str()),
            ("guarantee", self.guarantee.name()),
            ("commit-interval", COMMIT_INTERVAL),
            ("stream-threads", &workload.stream_threads.to_string()),
            ("group-protocol", self.group_protocol),
            ("bootstrap", &self.bootstrap),
            ("input", &self.input),
            ("output", &self.output),
            ("plugins", &installed.plugins().display().to_string()),
            ("component", &engine.component(installed, workload.program).display().to_string()),
        ] {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        let path = self.directory.join("millstream.toml");
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        let mut command = Command::new(installed.programs.join("millstream"));
        command.args(["--log-format", "json", "run", "--state-dir"]).arg(self.state_directory()).arg(path);
        Ok(command)
    }

    fn kafka_streams(&self, installed: &Installed, workload: &Workload, properties: &[&str]) -> Command {
        let class = match workload.program {
            Program::PassThrough => "PassThrough",
            Program::JsonFilter => "JsonFilter",
            Program::WordCount => "WordCount",
            Program::Update => "Update",
            Program::MatchRules => "MatchRules",
            Program::Count => unreachable!("Kafka Streams has no part in workload L"),
        };
        let guarantee = match self.guarantee {
            Guarantee::ExactlyOnceV2 => "exactly_once_v2",
            Guarantee::AtLeastOnce => "at_least_once",
        };
        let mut command = Command::new("java");
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", &installed.class_path, class]);
        command.args([&self.bootstrap, &self.id, &self.input, &self.output]).arg(self.state_directory());
        command.args([
            format!("processing.guarantee={guarantee}"),
            format!("commit.interval.ms={COMMIT_INTERVAL_MS}"),
            format!("num.stream.threads={}", workload.stream_threads),
            // The Java library begins at the end of a topic otherwise, and a source of Millstream at the beginning.
            "auto.offset.reset=earliest".to_owned(),
        ]);
        command.args(properties);
        command
    }
}

fn manifest(program: Program) -> &'static str {
    match program {
        Program::PassThrough => include_str!("../manifests/pass-through.toml"),
        Program::JsonFilter => include_str!("../manifests/json-filter.toml"),
        Program::WordCount => include_str!("../manifests/word-count.toml"),
        Program::Update => include_str!("../manifests/update.toml"),
        Program::MatchRules => include_str!("../manifests/match-rules.toml"),
        Program::Count => include_str!("../manifests/count.toml"),
    }
}

fn native_manifest(program: Program) -> Option<&'static str> {
    match program {
        Program::PassThrough => Some(include_str!("../manifests/pass-through-native.toml")),
        Program::WordCount => Some(include_str!("../manifests/word-count-native.toml")),
        Program::JsonFilter | Program::Update | Program::MatchRules | Program::Count => None,
    }
}

/// What Quix Streams can do, at sizes that it can do: it needs some ten CPU-seconds for a million records.
fn quix_program(workload: &Workload) -> Option<&'static str> {
    let is_first_variant = !workload.variant.contains("KiB") && workload.name != "W9";
    match workload.program {
        Program::PassThrough if is_first_variant => Some("pass-through"),
        Program::JsonFilter => Some("json-filter"),
        Program::WordCount => Some("word-count"),
        Program::Update if is_first_variant && workload.variant.starts_with("10 000 ") => Some("update"),
        Program::PassThrough | Program::Update | Program::MatchRules | Program::Count => None,
    }
}
