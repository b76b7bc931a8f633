//! A stage for one plugin: its component, built from `plugins/`, and a task around it with stores in memory.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use millstream_core::context::{ContextSlot, Phase, TaskContext};
use millstream_core::error::ProcessorFailure;
use millstream_core::id::{Offset, TaskId, Timestamp, TopicPartition};
use millstream_core::processor::{Processor, PunctuationType, RecordFailure};
use millstream_core::record::{Headers, Record, RecordBatch};
use millstream_core::store::{InMemoryTaskState, StoreSettings, Stores};
use millstream_core::topology::NodeIndex;
use millstream_wasm::{Component, InstanceLimits, ProcessorSetup, Runtime, RuntimeSettings, WasmProcessor};

/// The directory of the plugins.
pub fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")
}

/// The bytes of a plugin's component, built now if its sources have changed.
pub fn component_bytes(name: &str) -> Vec<u8> {
    let request = millstream_build::Request { source: plugins().join(name), ..Default::default() };
    let built = millstream_build::build(&request, &mut |_| {}).unwrap_or_else(|error| panic!("plugin {name}: {error}"));
    std::fs::read(&built[0].path).expect("the component was just written")
}

/// Clang, by the names under which systems have it.
const CLANGS: [&str; 6] = ["clang-19", "clang-22", "clang-21", "clang-20", "clang", "clang-14"];

/// Where the tests may leave files; the examples that share this stage have no such directory from cargo.
fn scratch() -> &'static Path {
    Path::new(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("/tmp"))
}

/// Compiles `tests/stranger` as anybody would, and makes a component of it.
pub fn stranger() -> Vec<u8> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stranger");
    let module = scratch().join("stranger.wasm");
    let files =
        ["stranger.c", "plugin_processor.c", "plugin_processor_component_type.o"].map(|name| sources.join(name));
    let compiles = |clang: &&str| {
        let mut command = Command::new(clang);
        command.args(["--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-o"]).arg(&module).args(&files);
        command.status().is_ok_and(|status| status.success())
    };
    assert!(CLANGS.iter().any(compiles), "no clang compiles it; `.ci/install c` installs one");
    let component = scratch().join("stranger.component.wasm");
    let request = millstream_build::Request { source: module, out: Some(component.clone()), ..Default::default() };
    millstream_build::build(&request, &mut |_| {}).expect("it says its world itself");
    std::fs::read(component).expect("the component was just written")
}

/// The one runtime of the tests.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new(RuntimeSettings::default()).expect("this machine can run Wasm"))
}

/// A plugin, compiled.
pub fn component(name: &str) -> Component {
    runtime().load(&component_bytes(name)).unwrap_or_else(|error| panic!("plugin {name}: {error}"))
}

/// A record, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub key: Option<String>,
    pub value: Option<String>,
    pub timestamp: Timestamp,
    pub headers: Vec<(String, Option<String>)>,
}

/// A record with key and value.
pub fn row(key: &str, value: &str, timestamp: Timestamp) -> Row {
    Row { key: Some(key.to_owned()), value: Some(value.to_owned()), timestamp, headers: Vec::new() }
}

impl Row {
    fn of(record: Record<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            key: record.key.map(text),
            value: record.value.map(text),
            timestamp: record.timestamp,
            headers: record.headers.iter().map(|(key, value)| (text(key), value.map(text))).collect(),
        }
    }
}

/// The rows as a batch whose rows are numbered.
pub fn batch(rows: &[Row]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for (index, row) in rows.iter().enumerate() {
        let mut packed = Vec::new();
        for (key, value) in &row.headers {
            millstream_core::record::pack_header(&mut packed, key.as_bytes(), value.as_deref().map(str::as_bytes));
        }
        let headers = Headers::from_packed(&packed);
        let (key, value) = (row.key.as_deref().map(str::as_bytes), row.value.as_deref().map(str::as_bytes));
        batch.push(Record { key, value, timestamp: row.timestamp, headers }, index as u32);
    }
    batch
}

/// What a plugin is given.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    pub processor: &'static str,
    pub config: &'static [(&'static str, &'static str)],
    pub stores: &'static [&'static str],
    /// Stores of the task that the node isn't granted.
    pub foreign_stores: &'static [&'static str],
    pub children: &'static [&'static str],
    pub limits: InstanceLimits,
}

/// A plugin on its stage.
pub struct Stage {
    pub processor: WasmProcessor,
    pub slot: ContextSlot,
    children: Vec<String>,
    /// What was forwarded and not taken yet, to each child.
    forwarded: BTreeMap<String, Vec<Row>>,
}

impl Stage {
    /// A task around `component`; `init` is not called yet.
    pub fn new(component: &Component, setting: &Setting) -> Self {
        let names = setting.stores.iter().chain(setting.foreign_stores);
        let settings = names.map(|name| StoreSettings { name: (*name).into(), timestamped: true, changelog: None });
        let settings: Vec<_> = settings.collect();
        let state = InMemoryTaskState::new(settings.len());
        let context = TaskContext::new(TaskId::new(0, 3), Stores::new(settings, Box::new(state)));
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let children = if setting.children.is_empty() { strings(&["out"]) } else { strings(setting.children) };
        let setup = ProcessorSetup {
            application: "application".to_owned(),
            plugin: "plugin".to_owned(),
            processor: setting.processor.to_owned(),
            node: "node".to_owned(),
            task: "0_3".to_owned(),
            config: setting.config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            children: children.clone(),
            stores: strings(setting.stores),
        };
        let processor =
            WasmProcessor::new(component, &setting.limits, setup).expect("the component can be instantiated");
        Self { processor, slot: ContextSlot::new(context), children, forwarded: BTreeMap::new() }
    }

    /// A task whose processor has begun.
    pub fn begun(component: &Component, setting: &Setting) -> Self {
        let mut stage = Self::new(component, setting);
        stage.init().unwrap_or_else(|failure| panic!("init: {failure}"));
        stage
    }

    fn enter(&mut self, phase: Phase, input: &RecordBatch) {
        let is_sequenced = self.children.len() > 1 && (input.len() < 2 || phase != Phase::Process);
        self.slot.enter(NodeIndex(1), phase, self.children.len(), is_sequenced, input);
    }

    pub fn init(&mut self) -> Result<(), ProcessorFailure> {
        self.enter(Phase::Init, &RecordBatch::new());
        self.processor.init(&mut self.slot)
    }

    pub fn close(&mut self) {
        self.enter(Phase::Close, &RecordBatch::new());
        self.processor.close(&mut self.slot);
    }

    /// Gives it a batch from partition 3 of topic `in`, from offset 100 on.
    pub fn process(&mut self, rows: &[Row]) -> Result<Vec<RecordFailure>, ProcessorFailure> {
        let batch = batch(rows);
        self.enter(Phase::Process, &batch);
        let context = &mut *self.slot;
        context.run.partition = Some(TopicPartition::new("in", 3));
        context.run.offsets = (0..rows.len() as i64).map(|index| Offset(100 + index)).collect();
        context.run.stream_times.clear();
        for row in rows {
            context.stream_time = context.stream_time.max(row.timestamp);
            context.run.stream_times.push(context.stream_time);
        }
        let answer = self.processor.process(&batch, &mut self.slot);
        self.collect_forwarded(&batch, answer.is_ok());
        answer
    }

    /// Fires what is due at `now`.
    pub fn punctuate(&mut self, kind: PunctuationType, now: Timestamp) -> Result<usize, ProcessorFailure> {
        let mut due = Vec::new();
        self.slot.punctuations.take_due(kind, now, &mut due);
        for due in &due {
            let none = RecordBatch::new();
            self.enter(Phase::Punctuate, &none);
            let answer = self.processor.punctuate(due.id, kind, now, &mut self.slot);
            self.collect_forwarded(&none, answer.is_ok());
            answer?;
        }
        Ok(due.len())
    }

    /// Takes over what a call with `input` has forwarded; of one that failed nothing.
    fn collect_forwarded(&mut self, input: &RecordBatch, is_wanted: bool) {
        let forwarded = self.slot.take_forwarded();
        if !is_wanted {
            return;
        }
        let mut memory = RecordBatch::new();
        for (child, batch) in self.children.iter().zip(&forwarded.by_child) {
            let records = batch.resolve(input, &mut memory).expect("not too much");
            self.forwarded.entry(child.clone()).or_default().extend(records.iter().map(Row::of));
        }
        for (index, child) in forwarded.sequence.iter().enumerate() {
            memory.clear();
            forwarded.sequence_records.resolve_one(index, input, &mut memory);
            for (place, name) in self.children.iter().enumerate() {
                if child.is_none_or(|child| child as usize == place) {
                    self.forwarded.entry(name.clone()).or_default().extend(memory.iter().map(Row::of));
                }
            }
        }
    }

    /// What was forwarded since the last call, to each child.
    pub fn take_forwarded(&mut self) -> BTreeMap<String, Vec<Row>> {
        std::mem::take(&mut self.forwarded)
    }

    /// What was forwarded to the only child.
    pub fn take_out(&mut self) -> Vec<Row> {
        self.take_forwarded().remove("out").unwrap_or_default()
    }

    /// What a store holds for a key.
    pub fn stored(&mut self, store: &str, key: &str) -> Option<(Vec<u8>, Timestamp)> {
        let index = self.slot.stores.index_of(store).expect("the store is there");
        let mut value = Vec::new();
        let found = self.slot.stores.get(index, key.as_bytes(), &mut value).expect("memory can be read");
        found.map(|found| (value, found.timestamp))
    }
}
