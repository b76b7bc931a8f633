//! The list of librdkafka's properties that a manifest may set, and why some may not.

/// Which clients know a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Any,
    Consumer,
    Producer,
}

/// What is thought of a property.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be set; `name` is its one name, where librdkafka or Java have several.
    Allowed { name: &'static str, scope: Scope },
    /// It must not be set, for this reason.
    Refused(&'static str),
    /// Nobody knows it; this one is near.
    Unknown(Option<&'static str>),
}

/// What goes for every client.
const ANY: &[&str] = &[
    "bootstrap.servers",
    "broker.address.family",
    "broker.address.ttl",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "debug",
    "enable.metrics.push",
    "log_level",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.sigalgs.list",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.interval.ms",
];

const CONSUMER: &[&str] = &[
    "check.crcs",
    "coordinator.query.interval.ms",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];

const PRODUCER: &[&str] = &[
    "acks",
    "batch.num.messages",
    "batch.size",
    "compression.level",
    "compression.type",
    "linger.ms",
    "message.timeout.ms",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.timeout.ms",
    "sticky.partitioning.linger.ms",
];

/// Other names of the same: librdkafka's own, and Java's.
const ALIASES: &[(&str, &str)] = &[
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("sasl.mechanisms", "sasl.mechanism"),
];

const DERIVED: &str = "is derived from `application.id` and the process's id in the state directory; take it away";
const ENGINE_COMMITS: &str = "the engine commits offsets together with state and output; take it away";
const IDEMPOTENT: &str = "exactly-once needs it, and at-least-once is safer with it: it is always on; take it away";
const NO_CALLBACK: &str = "is the engine's own; take it away";

const REFUSED: &[(&str, &str)] = &[
    ("allow.auto.create.topics", "a topic created by accident has the wrong number of partitions; create it"),
    ("auto.commit.interval.ms", ENGINE_COMMITS),
    ("auto.offset.reset", "is set for each source in the manifest: `[sources.<name>]`"),
    ("background_event_cb", NO_CALLBACK),
    ("closesocket_cb", NO_CALLBACK),
    ("connect_cb", NO_CALLBACK),
    ("consume_cb", NO_CALLBACK),
    ("default_topic_conf", NO_CALLBACK),
    ("delivery.report.only.error", NO_CALLBACK),
    ("dr_cb", NO_CALLBACK),
    ("dr_msg_cb", NO_CALLBACK),
    ("enable.auto.commit", ENGINE_COMMITS),
    ("enable.auto.offset.store", ENGINE_COMMITS),
    ("enable.gapless.guarantee", "is experimental in librdkafka; transactions already guarantee it"),
    ("enable.idempotence", IDEMPOTENT),
    ("enable.partition.eof", NO_CALLBACK),
    ("enable.random.seed", NO_CALLBACK),
    ("enabled_events", NO_CALLBACK),
    ("error_cb", NO_CALLBACK),
    ("group.id", DERIVED),
    ("group.instance.id", DERIVED),
    ("group.protocol", "is the manifest's `application.group-protocol`"),
    ("group.remote.assignor", "the engine's assignment keeps co-partitioned topics together; take it away"),
    ("interceptors", NO_CALLBACK),
    ("isolation.level", "follows from the manifest's `processing-guarantee`; take it away"),
    ("log.queue", NO_CALLBACK),
    ("log.thread.name", NO_CALLBACK),
    ("log_cb", NO_CALLBACK),
    ("message.send.max.retries", IDEMPOTENT),
    ("msg_order_cmp", NO_CALLBACK),
    ("oauthbearer_token_refresh_cb", NO_CALLBACK),
    ("offset.store.method", ENGINE_COMMITS),
    ("offset_commit_cb", NO_CALLBACK),
    ("opaque", NO_CALLBACK),
    ("open_cb", NO_CALLBACK),
    (
        "partition.assignment.strategy",
        "the engine needs `range`, which keeps co-partitioned topics together; take it away",
    ),
    (
        "partitioner",
        "must be murmur2_random, Java's default, or joins with topics of Java producers break; take it away",
    ),
    ("partitioner_cb", NO_CALLBACK),
    ("plugin.library.paths", "loads code into the process; it is never allowed"),
    ("queuing.strategy", NO_CALLBACK),
    ("rebalance_cb", NO_CALLBACK),
    ("resolve_cb", NO_CALLBACK),
    ("retries", IDEMPOTENT),
    ("socket_cb", NO_CALLBACK),
    ("ssl.engine.location", "loads code into the process; it is never allowed"),
    ("ssl.providers", "loads code into the process; it is never allowed"),
    ("ssl_engine_callback_data", NO_CALLBACK),
    ("enable.ssl.certificate.verification", "would accept any server; give the authority in `ssl.ca.location`"),
    ("statistics.interval.ms", "the engine has its own metrics; take it away"),
    ("stats_cb", NO_CALLBACK),
    ("throttle_cb", NO_CALLBACK),
    ("transaction.timeout.ms", "is the manifest's `application.transaction-timeout`"),
    ("transactional.id", DERIVED),
];

const SECRETS: &[&str] = &["sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password"];

/// Whether the value must never be printed.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

/// What is thought of the property `name` (without a prefix).
pub(crate) fn verdict(name: &str) -> Verdict {
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Verdict::Refused(reason);
    }
    if name.starts_with("sasl.oauthbearer.") || name.starts_with("sasl.kerberos.") {
        return Verdict::Refused("is not built in; use PLAIN or SCRAM over TLS, or client certificates");
    }
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    match known().find(|(known, _)| *known == name) {
        Some((name, scope)) => Verdict::Allowed { name, scope },
        None => Verdict::Unknown(nearest(name)),
    }
}

fn known() -> impl Iterator<Item = (&'static str, Scope)> {
    let of = |names: &'static [&'static str], scope| names.iter().map(move |name| (*name, scope));
    of(ANY, Scope::Any).chain(of(CONSUMER, Scope::Consumer)).chain(of(PRODUCER, Scope::Producer))
}

/// The known name with the fewest changes, unless they are many.
fn nearest(name: &str) -> Option<&'static str> {
    let (distance, nearest) = known().map(|(known, _)| (edit_distance(name, known), known)).min()?;
    (distance <= 1 + name.len() / 3).then_some(nearest)
}

/// Levenshtein's distance, in bytes.
fn edit_distance(one: &str, other: &str) -> usize {
    let other = other.as_bytes();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn librdkafka_knows_every_allowed_property() {
        for (name, _) in known() {
            // A wrong value and an unknown name are told apart by the text.
            let told = crate::native::check_property(name, "\u{1}").err().map_or(String::new(), |error| error.text);
            assert!(!told.contains("No such configuration property"), "{name}: {told}");
        }
    }

    #[test]
    fn other_names_lead_to_the_one_name() {
        for (alias, name) in ALIASES {
            assert!(matches!(verdict(alias), Verdict::Allowed { name: found, .. } if found == *name), "{alias}");
        }
    }

    #[test]
    fn nothing_is_both_allowed_and_refused() {
        for (name, _) in known() {
            assert!(matches!(verdict(name), Verdict::Allowed { .. }), "{name}");
        }
    }

    #[test]
    fn distances_count_changes() {
        for (one, other, expected) in [("", "", 0), ("abc", "abc", 0), ("abc", "abd", 1), ("linger", "linger.ms", 3)] {
            assert_eq!(edit_distance(one, other), expected, "{one} {other}");
        }
    }
}
