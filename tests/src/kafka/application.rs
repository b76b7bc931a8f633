//! An application of one test: an id of its own, its topics, its manifest, and the processes that run it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::broker::Broker;
use super::client;
use super::component;
use super::host::Host;

/// See the file's documentation. Topics are named after the application, so that tests do not meet on a broker.
#[derive(Debug)]
pub struct Application {
    /// Its id.
    pub id: String,
    /// The broker's address.
    pub bootstrap: String,
    directory: TempDir,
    /// Further keys of `[application]`.
    pub settings: String,
    /// Further keys of `[kafka]`.
    pub kafka: String,
    /// The other tables; `{id}` stands for the application's id.
    pub topology: String,
    hosts: AtomicU32,
}

impl Application {
    /// An application named after `name` on a broker, with the tables of `topology`, in which `{id}` stands for the application's id.
    ///
    /// # Panics
    ///
    /// When no directory can be made.
    #[must_use]
    pub fn new(broker: &Broker, name: &str, topology: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::Builder::new().prefix("millstream-e2e-").tempdir().expect("a directory");
        let (settings, kafka) = (String::new(), String::new());
        let (bootstrap, topology) = (broker.bootstrap().to_owned(), topology.to_owned());
        Self { id, bootstrap, directory, settings, kafka, topology, hosts: AtomicU32::new(0) }
    }

    /// With more keys of `[application]`.
    #[must_use]
    pub fn settings(mut self, lines: &str) -> Self {
        self.settings.push_str(lines);
        self.settings.push('\n');
        self
    }

    /// With more keys of `[kafka]`.
    #[must_use]
    pub fn kafka(mut self, lines: &str) -> Self {
        self.kafka.push_str(lines);
        self.kafka.push('\n');
        self
    }

    /// The name of one of its topics.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    /// Creates one of its topics, and returns its name.
    pub fn create_topic(&self, name: &str, partitions: i32) -> String {
        let topic = self.topic(name);
        client::create_topic(&self.bootstrap, &topic, partitions);
        topic
    }

    /// Where it may leave files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The state directory of the process called `process`.
    #[must_use]
    pub fn state_directory(&self, process: &str) -> PathBuf {
        self.directory().join(format!("state-{process}"))
    }

    /// Writes the manifest and returns its path.
    ///
    /// # Panics
    ///
    /// When it can't be written.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        let (id, bootstrap) = (&self.id, &self.bootstrap);
        let (settings, kafka, topology) = (&self.settings, &self.kafka, self.topology.replace("{id}", id));
        let text = format!(
            "[application]\nid = \"{id}\"\n{settings}\n[kafka]\n\"bootstrap.servers\" = \"{bootstrap}\"\n{kafka}\n{topology}"
        );
        let path = self.directory().join("millstream.toml");
        std::fs::write(&path, text).expect("the manifest can be written");
        path
    }

    /// Starts a process of the application. Those of one name share a state directory: each is the former one that comes back.
    #[must_use]
    pub fn start(&self, process: &str) -> Host {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed);
        let log = self.directory().join(format!("{process}-{number}.log"));
        let (manifest, state) = (self.manifest(), self.state_directory(process));
        let arguments = ["run".as_ref(), "--state-dir".as_ref(), state.as_os_str(), manifest.as_os_str()];
        Host::start(arguments, &log)
    }
}

/// The table of a sample plugin, with more keys.
#[must_use]
pub fn plugin_table(name: &str, keys: &str) -> String {
    format!("[plugins.{name}]\ncomponent = \"{}\"\n{keys}\n", component(name).display())
}

/// Word count as in the design: from topic `{id}-lines` to topic `{id}-words`.
#[must_use]
pub fn word_count() -> String {
    plugin_table("words", "")
        + r#"
[stores.word-counts]
type = "timestamped-key-value"

[sources.lines]
topics = ["{id}-lines"]

[processors.split]
plugin = "words"
inputs = ["lines"]

[processors.word-counts]
operator = "count"
inputs = ["split"]
store = "word-counts"

[sinks.words]
topic = "{id}-words"
inputs = ["word-counts"]
"#
}

/// Counts by key in a plugin: get, change, put, forward; from topic `{id}-orders` to topic `{id}-tallies`.
#[must_use]
pub fn tally() -> String {
    plugin_table("get-put-forward", "")
        + r#"
[stores.counts]
type = "key-value"

[sources.orders]
topics = ["{id}-orders"]

[processors.tally]
plugin = "get-put-forward"
inputs = ["orders"]
store = "counts"

[sinks.tallies]
topic = "{id}-tallies"
inputs = ["tally"]
"#
}

/// Each record as it is, through a plugin: from topic `{id}-in` to topic `{id}-out`.
#[must_use]
pub fn pass_through() -> String {
    plugin_table("identity", "")
        + r#"
[sources.in]
topics = ["{id}-in"]

[processors.pass]
plugin = "identity"
processor = "identity"
inputs = ["in"]

[sinks.out]
topic = "{id}-out"
inputs = ["pass"]
"#
}
