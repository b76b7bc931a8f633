//! Identifiers: tasks, topics, partitions, offsets, nodes and stores.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Milliseconds since the epoch, as Kafka carries them; `-1` means unknown.
pub type Timestamp = i64;

/// The timestamp before any record has been seen.
pub const TIMESTAMP_UNKNOWN: Timestamp = -1;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Borrows the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A topic's name, fully qualified (internal topics with their `<application.id>-` prefix).
    TopicName
);
name!(
    /// A node's name, unique in its topology.
    NodeName
);
name!(
    /// A state store's name, unique in its topology.
    StoreName
);

/// The number of a sub-topology, as `Topology#describe` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubTopologyId(pub u32);

impl fmt::Display for SubTopologyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One sub-topology times one partition number: the unit of work, state and assignment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The sub-topology that the task runs.
    pub sub_topology: SubTopologyId,
    /// The partition number that it reads of each source topic.
    pub partition: i32,
}

impl TaskId {
    /// Names the task of `sub_topology` for `partition`.
    #[must_use]
    pub fn new(sub_topology: u32, partition: i32) -> Self {
        Self { sub_topology: SubTopologyId(sub_topology), partition }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.sub_topology, self.partition)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (sub_topology, partition) = text.split_once('_').ok_or(())?;
        let sub_topology = sub_topology.parse().map_err(|_| ())?;
        let partition = partition.parse().ok().filter(|number| *number >= 0).ok_or(())?;
        Ok(Self::new(sub_topology, partition))
    }
}

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names `partition` of `topic`.
    pub fn new(topic: impl Into<TopicName>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A position in a partition. As a position to read from it names the *next* record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_print_and_parse_as_kafka_streams_writes_them() {
        assert_eq!(TaskId::new(0, 3).to_string(), "0_3");
        assert_eq!("12_0".parse(), Ok(TaskId::new(12, 0)));
        for wrong in ["", "1", "1_", "_1", "1_-1", "a_1", "1_2_3"] {
            assert_eq!(wrong.parse::<TaskId>(), Err(()), "{wrong}");
        }
    }
}
