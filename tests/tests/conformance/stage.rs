//! Where the cases play: one node of the conformance plugin between the topic `in` and its children, on the driver.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_build::Request;
use millstream_core::id::{SubTopologyId, TaskId};
use millstream_core::stream_thread::OnError;
use millstream_core::topology::{Step, StoreKind, Topology};
use millstream_embedded::EmbeddedLog;
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::log_lines::{LogLines, PLUGIN_TARGET};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_wasm::{Component, DryRun, InstanceLimits, ProcessorSetup, Runtime, RuntimeSettings, WasmPlugins};
use tracing::Metadata;

pub const TASK: TaskId = TaskId { sub_topology: SubTopologyId(0), partition: 0 };

const MIB: usize = 1024 * 1024;

/// Where the plugins of the checkout are.
pub fn plugins_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins")
}

/// The conformance plugin of a language.
pub struct Plugin {
    component: Component,
}

impl Plugin {
    /// Builds and compiles the plugin in `plugins/` of that name.
    #[track_caller]
    pub fn build(directory: &str) -> Self {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        let request = Request { source: plugins_directory().join(directory), ..Request::default() };
        let built = millstream_build::build(&request, &mut |_| {});
        let built = built.unwrap_or_else(|error| panic!("plugins/{directory} can't be built: {error}"));
        let runtime = RUNTIME.get_or_init(|| Runtime::new(RuntimeSettings::default()).expect("this machine runs Wasm"));
        let component =
            runtime.load_file(&built[0].path).unwrap_or_else(|error| panic!("plugins/{directory}: {error}"));
        Self { component }
    }

    /// What the processor `do` does in `init`, tried without a stage.
    pub fn try_init(&self, config: (&str, &str), children: &[&str]) -> DryRun {
        let setup = ProcessorSetup {
            processor: "do".to_owned(),
            config: [(config.0.to_owned(), config.1.to_owned())].into(),
            children: children.iter().map(|child| (*child).to_owned()).collect(),
            ..ProcessorSetup::default()
        };
        DryRun::of(&self.component, &generous(), setup, &[])
    }

    /// A stage with the node of `setting` on it, settled.
    #[track_caller]
    pub fn stage(&self, setting: Setting) -> Stage {
        let topology = setting.topology();
        self.stage_of(topology, setting)
    }

    /// A stage with another topology; its plugin is called `conformance`.
    #[track_caller]
    pub fn stage_of(&self, topology: Topology, setting: Setting) -> Stage {
        let lines = LogLines::new(is_about_plugins, usize::MAX);
        let plugins = BTreeMap::from([("conformance".to_owned(), (self.component.clone(), setting.limits.clone()))]);
        let plugins = WasmPlugins::new(plugins, Arc::new(topology.clone()));
        assert_eq!(plugins.check().map_err(|errors| errors.len()), Ok(()), "the plugin lacks what the suite names");
        let driver = lines.during(|| TopologyDriver::new(topology, Box::new(plugins), setting.options()));
        let mut stage = Stage { driver, lines, now: 0 };
        stage.run();
        stage
    }
}

/// What is on the stage. The default is the processor `do` with both stores and one child.
pub struct Setting {
    pub processor: &'static str,
    pub config: Vec<(&'static str, String)>,
    /// The stores that the node is granted.
    pub stores: &'static [&'static str],
    /// The sinks and topics below the node.
    pub children: &'static [&'static str],
    pub on_error: OnError,
    /// The largest batch.
    pub records_max: usize,
    pub limits: InstanceLimits,
    /// Partitions of the topic `in`.
    pub partitions: i32,
    pub commit_interval: Duration,
    /// What an earlier stage has left behind.
    pub log: EmbeddedLog,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            processor: "do",
            config: Vec::new(),
            stores: &["plain", "timed"],
            children: &["out"],
            on_error: OnError::Fail,
            records_max: 1000,
            limits: generous(),
            partitions: 1,
            commit_interval: Duration::ZERO,
            log: EmbeddedLog::new(),
        }
    }
}

/// Limits that a correct guest does not come near, on a busy machine either.
pub fn generous() -> InstanceLimits {
    InstanceLimits { memory_bytes_max: 1024 * MIB, recycle_bytes: 1024 * MIB, deadline: Duration::from_secs(60) }
}

impl Setting {
    fn topology(&self) -> Topology {
        let config = self.config.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let draft = Draft::new().source("in").step("node", step(self.processor, config), &["in"], self.stores);
        let draft = self.children.iter().fold(draft, |draft, child| draft.sink(child, &["node"]));
        with_stores(draft, self.stores).build()
    }

    fn options(&self) -> DriverOptions {
        let mut options = DriverOptions { log: self.log.clone(), ..DriverOptions::default() };
        options.settings.run_records_max = self.records_max;
        options.settings.buffered_records_max = self.records_max.max(1000);
        options.settings.commit_interval = self.commit_interval;
        options.settings.on_error = [("conformance".to_owned(), self.on_error)].into();
        options.settings.dead_letter_topics = [("conformance".to_owned(), "dead".into())].into();
        options.partitions = [("in".to_owned(), self.partitions), ("dead".to_owned(), 1)].into();
        options
    }
}

/// A step that runs a processor of the plugin.
pub fn step(processor: &str, config: BTreeMap<String, String>) -> Step {
    let (plugin, processor) = ("conformance".to_owned(), Some(processor.to_owned()));
    Step::Plugin { plugin, processor, config, key_unchanged: true }
}

/// Declares the stores named: `timed` keeps timestamps, the others don't.
pub fn with_stores(draft: Draft, names: &[&str]) -> Draft {
    names.iter().fold(draft, |draft, name| {
        let kind = if *name == "timed" { StoreKind::TimestampedKeyValue } else { StoreKind::KeyValue };
        draft.store_of(name, store(kind))
    })
}

/// A driver with one node, and the time of the next record.
pub struct Stage {
    pub driver: TopologyDriver,
    pub lines: LogLines,
    /// The timestamp of the next record.
    pub now: i64,
}

impl Stage {
    /// Writes a record for the node, without processing it. Time goes on by one.
    pub fn write(&mut self, command: &str, value: Option<&[u8]>) {
        let record = TestRecord::with(Some(command.as_bytes()), value, self.now);
        self.driver.write("in", None, &record);
        self.now += 1;
    }

    /// Processes what was written.
    #[track_caller]
    pub fn run(&mut self) {
        let Self { driver, lines, .. } = self;
        lines.during(|| driver.run_until_caught_up()).expect("the host stays up");
    }

    /// Lets wall-clock time go on.
    #[track_caller]
    pub fn advance(&mut self, milliseconds: u64) {
        let Self { driver, lines, .. } = self;
        lines.during(|| driver.advance_wall_clock(Duration::from_millis(milliseconds))).expect("the host stays up");
    }

    /// What came out of the node's only child since the last call.
    pub fn output(&mut self) -> Vec<TestRecord> {
        self.driver.read_output("out")
    }

    /// The values of what came out, as text; `null` for null.
    pub fn texts(&mut self) -> Vec<String> {
        self.output().into_iter().map(|record| shown(record.value.as_deref())).collect()
    }

    /// Gives the node a record, and returns what comes out, as text.
    #[track_caller]
    pub fn ask(&mut self, command: &str, value: &str) -> Vec<String> {
        self.write(command, Some(value.as_bytes()));
        self.run();
        self.texts()
    }

    /// Why the task with partition 0 has failed.
    #[track_caller]
    pub fn failed(&self) -> &str {
        self.driver.thread.failed_tasks().get(&TASK).expect("the task has failed")
    }

    /// Says that no task has failed.
    #[track_caller]
    pub fn assert_sound(&self) {
        assert_eq!(self.driver.thread.failed_tasks().values().collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

/// Bytes as text.
pub fn shown(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// A command, its operand, and what it answers.
pub type Exchange<'a> = (&'a str, Option<&'a [u8]>, Option<&'a [u8]>);

/// Gives the node the commands in batches of every kind, and checks what each answers: key, timestamp and headers must be those
/// of the record.
#[track_caller]
pub fn check_answers(plugin: &Plugin, exchanges: &[Exchange<'_>]) {
    for records_max in [1, 3, 1000] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        let mut expected = Vec::new();
        for (command, value, answer) in exchanges {
            let record = TestRecord::with(Some(command.as_bytes()), *value, stage.now).header("h", Some(b"1"));
            stage.driver.write("in", None, &record);
            stage.now += 1;
            expected.push(TestRecord { value: answer.map(<[u8]>::to_vec), ..record });
        }
        stage.run();
        stage.assert_sound();
        let found = stage.output();
        for (found, expected) in found.iter().zip(&expected) {
            let command = shown(expected.key.as_deref());
            assert_eq!(shown(found.value.as_deref()), shown(expected.value.as_deref()), "{command}");
            assert_eq!(found, expected, "{command}");
        }
        assert_eq!(found.len(), expected.len(), "batches of {records_max}");
    }
}

/// As [`check_answers`], for text, and for commands some of which answer nothing.
#[track_caller]
pub fn check_texts(plugin: &Plugin, exchanges: &[(&str, &str, &[&str])]) {
    for records_max in [1, 3, 1000] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for (command, value, _) in exchanges {
            stage.write(command, Some(value.as_bytes()));
        }
        stage.run();
        stage.assert_sound();
        let found: Vec<(String, String)> = stage
            .output()
            .iter()
            .map(|record| (shown(record.key.as_deref()), shown(record.value.as_deref())))
            .collect();
        let answers = |exchange: &(&str, &str, &[&str])| {
            let command = exchange.0.to_owned();
            exchange.2.iter().map(move |answer| (command.clone(), (*answer).to_owned())).collect::<Vec<_>>()
        };
        let expected: Vec<_> = exchanges.iter().flat_map(answers).collect();
        assert_eq!(found, expected, "batches of {records_max}");
    }
}

/// What plugins log, and what the host says of one that logs too much.
fn is_about_plugins(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(PLUGIN_TARGET) || metadata.target().starts_with("millstream_wasm")
}
