//! Every key that a manifest may have, in one table: the reader, the help for mistakes, and the JSON Schema all come from it, so
//! they can't disagree.

/// A table of the manifest.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds one table for each thing that it names (`[plugins.words]`), or the keys themselves (`[application]`).
    pub is_named: bool,
    /// What it is for.
    pub about: &'static str,
    /// Its keys; empty where any key is allowed.
    pub keys: &'static [Key],
    /// Keys that people may expect, and why they are not there.
    pub refused: &'static [(&'static str, &'static str)],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Whether it must be there.
    pub is_required: bool,
    /// The value when it is not there, as it would be written.
    pub default: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text but the empty one.
    Text,
    /// A path, relative to the manifest's folder.
    Path,
    /// A name that a topic may have.
    Topic,
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Integer(i64, i64),
    /// A duration of at least so many milliseconds.
    Duration(u64),
    /// `"off"`, or a duration.
    DurationOrOff,
    /// A size within these bounds, in bytes.
    Size(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts without a repetition.
    Texts,
    /// A table of texts, numbers and truth values.
    Properties,
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, is_required: false, default: None, about }
}

impl Key {
    const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// All tables, in the order in which people write them.
pub const SECTIONS: &[Section] = &[APPLICATION, TOPIC, KAFKA, PLUGINS, STORES, SOURCES, PROCESSORS, SINKS];

/// `[application]`.
pub const APPLICATION: Section = Section {
    name: "application",
    is_named: false,
    about: "What the application is called and how it runs.",
    keys: &[
        key("id", Kind::Topic, "The consumer group, and the prefix of internal topics and transactional ids.").required(),
        key(
            "processing-guarantee",
            Kind::Choice(&["exactly-once-v2", "at-least-once"]),
            "How often a record has its effect. Unlike Kafka Streams' default, it is exactly once.",
        )
        .or("exactly-once-v2"),
        key("stream-threads", Kind::Integer(1, 1024), "How many stream threads this process runs.").or("1"),
        key(
            "commit-interval",
            Kind::Duration(1),
            "The longest time between commits; by default 100ms with exactly-once-v2, 30s with at-least-once.",
        ),
        key(
            "group-protocol",
            Kind::Choice(&["consumer", "solo"]),
            "Who decides which process runs which task: the consumer group, or `solo`: this process runs all of them.",
        )
        .or("consumer"),
        key("state-dir", Kind::Path, "Where state stores are kept, in a folder named after the application's id.").or("state"),
        key(
            "state-memory",
            Kind::Size(MIB, 1024 * GIB),
            "The memory that all stores of the process share: four fifths keep entries, the rest blocks of files.",
        )
        .or("320MiB"),
        key(
            "write-buffer-memory",
            Kind::Size(64 * KIB, 64 * GIB),
            "The uncommitted writes of one stream thread; past that it commits early.",
        )
        .or("64MiB"),
        key(
            "max-task-idle",
            Kind::DurationOrOff,
            "How long a task waits for an input that has no records, so that inputs stay in the order of their timestamps; `off` \
             does not even wait for records that are known to be there.",
        )
        .or("0ms"),
        key(
            "buffered-records-per-partition",
            Kind::Integer(1, 10_000_000),
            "How many records a task takes from a partition ahead of processing them.",
        )
        .or("1000"),
        key(
            "repartition-purge-interval",
            Kind::Duration(1),
            "How often records that are consumed are deleted from repartition topics.",
        )
        .or("30s"),
        key("task-timeout", Kind::Duration(0), "How long errors that may pass are tried again.").or("5m"),
        key(
            "transaction-timeout",
            Kind::Duration(1),
            "How long the broker keeps a transaction of a process that is gone; at least the commit interval.",
        )
        .or("10s"),
        key(
            "replication-factor",
            Kind::Integer(1, 32_767),
            "Of internal topics; the broker's default if it is not set.",
        ),
        key("dead-letter-topic", Kind::Topic, "Where records go that a plugin can't process; a plugin may name its own."),
    ],
    refused: &[
        ("num-standby-replicas", "standby copies of state are not yet in this version; remove it"),
        ("application-server", "interactive queries are not yet in this version; remove it"),
        ("bootstrap-servers", "it belongs to [kafka], as \"bootstrap.servers\""),
        ("application-id", "it is called `id` here"),
        ("name", "an application is known by its `id`"),
    ],
};

/// `[topic]`.
pub const TOPIC: Section = Section {
    name: "topic",
    is_named: false,
    about: "Topic configurations of all internal topics, such as \"min.insync.replicas\"; Kafka Streams' prefix `topic.`.",
    keys: &[],
    refused: &[],
};

/// `[kafka]`.
pub const KAFKA: Section = Section {
    name: "kafka",
    is_named: false,
    about: "Properties of librdkafka, with ${env:NAME} and ${file:PATH} in place of secrets.",
    keys: &[],
    refused: &[],
};

/// `[plugins.*]`.
pub const PLUGINS: Section = Section {
    name: "plugins",
    is_named: true,
    about: "A plugin: a WebAssembly component with processors or functions.",
    keys: &[
        key("component", Kind::Path, "The component's file.").required(),
        key("digest", Kind::Text, "The component must have this digest, `sha256:` and 64 hexadecimal digits."),
        key("memory-max", Kind::Size(64 * KIB, GIB), "The memory of one instance. At three quarters of it, the instance is replaced after a commit.")
            .or("128MiB"),
        key("deadline", Kind::Duration(1), "How long one call may take.").or("1s"),
        key(
            "on-error",
            Kind::Choice(&["fail", "skip", "dead-letter"]),
            "What happens when it traps, misses its deadline, passes a limit or refuses a record: the task stops, or the record is \
             dropped, or it goes to the dead-letter topic.",
        )
        .or("fail"),
        key("dead-letter-topic", Kind::Topic, "Where its records go that it can't process."),
    ],
    refused: &[("path", "the file is named by `component`")],
};

/// `[stores.*]`.
pub const STORES: Section = Section {
    name: "stores",
    is_named: true,
    about: "A state store.",
    keys: &[
        key("type", Kind::Choice(&["key-value", "timestamped-key-value"]), "What it keeps.").required(),
        key("backend", Kind::Choice(&["rocksdb", "memory"]), "Where it keeps it.").or("rocksdb"),
        key("logging", Kind::Flag, "Whether its changes go to a changelog topic, from which it can be restored.")
            .or("true"),
        key("changelog", Kind::Properties, "Topic configurations of its changelog."),
    ],
    refused: &[
        ("caching", "entries are always cached; their memory is part of `state-memory` in [application]"),
        ("retention", "window stores are not yet in this version; remove it"),
    ],
};

/// `[sources.*]`.
pub const SOURCES: Section = Section {
    name: "sources",
    is_named: true,
    about: "A node that reads topics.",
    keys: &[
        key("topics", Kind::Texts, "The topics that it reads."),
        key(
            "pattern",
            Kind::Text,
            "A regular expression: it reads all topics whose whole name matches, later ones too.",
        ),
        key(
            "timestamp-extractor",
            Kind::Choice(&["fail-on-invalid", "log-and-skip", "use-partition-time", "wall-clock"]),
            "How a record gets its timestamp.",
        )
        .or("fail-on-invalid"),
        key(
            "auto-offset-reset",
            Kind::Choice(&["earliest", "latest", "none"]),
            "Where it begins in a partition without a committed offset.",
        )
        .or("earliest"),
    ],
    refused: &[
        ("inputs", "a source reads topics; name them in `topics`"),
        ("topic", "it is a list here: `topics = [\"..\"]`"),
    ],
};

/// `[processors.*]`.
pub const PROCESSORS: Section = Section {
    name: "processors",
    is_named: true,
    about: "A node that handles records: a processor of a plugin, or a native operator.",
    keys: &[
        key("inputs", Kind::Texts, "The nodes that forward to it.").required(),
        key(
            "plugin",
            Kind::Text,
            "The plugin, by its name under [plugins]; of an operator, the one that has its function.",
        ),
        key("processor", Kind::Text, "The processor, where the plugin has several."),
        key("config", Kind::Properties, "Settings that the processor gets when it starts."),
        key(
            "operator",
            Kind::Choice(&["filter", "filter-not", "group-by", "repartition", "count", "merge"]),
            "The native operator that it is.",
        ),
        key("function", Kind::Text, "The operator's function, where the plugin has several."),
        key("store", Kind::Text, "The store that it may use."),
        key("stores", Kind::Texts, "The stores that it may use."),
        key(
            "key",
            Kind::Choice(&["changed", "unchanged"]),
            "Whether the records that a plugin forwards may have other keys than those it was given; if so, a repartition is put \
             before the next operator that works by key.",
        ),
        key(
            "copartition",
            Kind::Flag,
            "Whether the topics that meet here must have the same number of partitions, because the stores are used by key.",
        ),
        key("name", Kind::Text, "The name of the repartition topic, between the application's id and `-repartition`."),
        key("partitions", Kind::Integer(1, 1_000_000), "The number of partitions of the repartition topic."),
    ],
    refused: &[
        ("topic", "a processor has no topic; sources and sinks have"),
        ("input", "it is a list: `inputs = [\"..\"]`"),
    ],
};

/// `[sinks.*]`.
pub const SINKS: Section = Section {
    name: "sinks",
    is_named: true,
    about: "A node that writes to a topic.",
    keys: &[
        key("inputs", Kind::Texts, "The nodes that forward to it.").required(),
        key("topic", Kind::Topic, "The topic that it writes to."),
        key(
            "topic-from",
            Kind::Text,
            "Takes the topic from each record: `key`, or `header:` and a header's name. The topics must exist.",
        ),
    ],
    refused: &[
        ("topics", "a sink writes to one topic: `topic = \"..\"`"),
        ("input", "it is a list: `inputs = [\"..\"]`"),
    ],
};

/// Words of Kafka Streams and of the design that a later version will know, with their keys.
pub const LATER: &[(&str, &str)] = &[
    ("group-protocol", "streams"),
    ("operator", "aggregate"),
    ("operator", "join"),
    ("operator", "reduce"),
    ("operator", "split"),
    ("operator", "suppress"),
    ("operator", "table"),
    ("type", "session"),
    ("type", "versioned"),
    ("type", "window"),
];

/// The section called `name`.
#[must_use]
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

impl Section {
    /// The key called `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
