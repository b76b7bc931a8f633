//! Where records may go through a sub-topology in batches without anybody being able to tell.

use std::collections::BTreeSet;

use super::Topology;
use super::node::{NodeIndex, SinkTopic};

impl Topology {
    /// Whether a run of records of `source` may go from node to node as a batch. What a task does is defined one record at a
    /// time, depth first; a batch does the same only if
    ///
    /// 1. every node below the source is reached by exactly one path: otherwise the second path of the first record would come after
    ///    the first path of the last one;
    /// 2. no store is used by two of these nodes: otherwise the first would write for record 2 what the second must not see at record 1;
    /// 3. no two of these sinks write to the same topic: otherwise their records would be in another order there. A sink whose
    ///    topic is taken from the record may write to any.
    #[must_use]
    pub fn is_batchable(&self, source: NodeIndex) -> bool {
        let mut reached = BTreeSet::new();
        let mut used_stores = BTreeSet::new();
        let mut sink_topics: Vec<&SinkTopic> = Vec::new();
        let mut open = vec![source];
        while let Some(index) = open.pop() {
            if !reached.insert(index) {
                return false;
            }
            let node = self.node(index);
            if !node.stores.iter().all(|store| used_stores.insert(store)) {
                return false;
            }
            sink_topics.extend(node.as_sink().map(|sink| &sink.topic));
            open.extend(&node.children);
        }
        let is_single = sink_topics.len() < 2;
        let are_fixed = sink_topics.iter().all(|topic| topic.name().is_some());
        let distinct: BTreeSet<_> = sink_topics.iter().map(|topic| topic.name()).collect();
        is_single || (are_fixed && distinct.len() == sink_topics.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::parse;

    #[test]
    fn batches_go_only_where_nobody_can_tell() {
        for (declarations, expected, why) in [
            ("source in t", true, "nothing below"),
            ("source in t\nprocessor p in s\nsink out o p", true, "a chain"),
            ("source in t\nprocessor p in\nsink a o1 p\nsink b o2 p", true, "a split into different topics"),
            ("source in t\nprocessor p in s\nprocessor q in r", true, "a split with stores of their own"),
            ("source in t\nprocessor p in\nprocessor q in\nmerge m p,q", false, "paths that meet again"),
            ("source in t\nprocessor p in\nmerge m in,p\nsink out o m", false, "a path and its shortcut"),
            ("source in t\nprocessor p in s\nprocessor q p s", false, "a store of two nodes"),
            ("source in t\nprocessor p in\nsink a o p\nsink b o p", false, "two sinks of one topic"),
            ("source in t\nprocessor p in\nsink a header:x p\nsink b o p", false, "a sink that may write anywhere"),
            ("source in t\nsink a key in", true, "one sink that may write anywhere"),
            ("source in t\ngroup-by g in\ncount c g s\ncount d g r", true, "two repartitions"),
        ] {
            let topology = parse("app", declarations).build().expect("a topology");
            let source = topology.find_node("in").expect("a source");
            assert_eq!(topology.is_batchable(source), expected, "{why}");
        }
    }

    #[test]
    fn only_what_a_source_reaches_counts_for_it() {
        let topology = parse(
            "app",
            "source in t\nsource other u\nprocessor p in s\nprocessor q other\nprocessor r q s\nmerge m q,r",
        );
        let topology = topology.build().expect("a topology");
        assert!(topology.is_batchable(topology.find_node("in").expect("a source")));
        assert!(!topology.is_batchable(topology.find_node("other").expect("a source")));
    }
}
