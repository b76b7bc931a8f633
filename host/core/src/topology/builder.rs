//! The builder: takes declarations, checks them all, and hands them to the [assembly](super::assembly).

use std::collections::{BTreeMap, BTreeSet};

use super::assembly::Assembly;
use super::declaration::{About, Declared, DeclaredKind, ProcessorDeclaration, Step, StoreDeclaration, TopologyError};
use super::node::{SinkTopic, Source, SourceTopics};
use super::pattern::TopicPattern;
use super::topic_name::check_topic_name;
use super::{Topology, repartition_topic};
use crate::id::TopicName;

/// Collects what an application consists of, in an order that decides the numbers of sub-topologies and the order of forwarding.
#[derive(Clone, Debug, Default)]
pub struct TopologyBuilder {
    application_id: String,
    nodes: Vec<Declared>,
    stores: Vec<(String, StoreDeclaration)>,
}

impl TopologyBuilder {
    /// A builder for the application called `application_id`, which is the prefix of its internal topics.
    #[must_use]
    pub fn new(application_id: impl Into<String>) -> Self {
        Self { application_id: application_id.into(), ..Self::default() }
    }

    /// Adds a node that reads topics.
    pub fn source(&mut self, name: impl Into<String>, source: Source) -> &mut Self {
        self.nodes.push(Declared { name: name.into(), kind: DeclaredKind::Source(source) });
        self
    }

    /// Adds a node that handles records. Its inputs may be added later.
    pub fn processor(&mut self, name: impl Into<String>, processor: ProcessorDeclaration) -> &mut Self {
        self.nodes.push(Declared { name: name.into(), kind: DeclaredKind::Processor(processor) });
        self
    }

    /// Adds a node that writes to a topic. Its inputs may be added later.
    pub fn sink(&mut self, name: impl Into<String>, topic: SinkTopic, inputs: Vec<String>) -> &mut Self {
        self.nodes.push(Declared { name: name.into(), kind: DeclaredKind::Sink { topic, inputs } });
        self
    }

    /// Adds a store.
    pub fn store(&mut self, name: impl Into<String>, store: StoreDeclaration) -> &mut Self {
        self.stores.push((name.into(), store));
        self
    }

    /// Checks everything and builds the topology. Nodes keep the order in which they were added, except that each comes after
    /// its inputs.
    ///
    /// # Errors
    ///
    /// All mistakes.
    pub fn build(self) -> Result<Topology, Vec<TopologyError>> {
        let mut errors = Vec::new();
        self.check_names(&mut errors);
        self.check_inputs(&mut errors);
        self.check_stores(&mut errors);
        self.check_topics(&mut errors);
        let order = self.order(&mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Assembly::new(self.application_id, self.stores).assemble(self.nodes, &order)
    }

    fn check_names(&self, errors: &mut Vec<TopologyError>) {
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            if !seen.insert(&node.name) {
                let message = "the name is taken by another node; give each source, processor and sink its own".into();
                errors.push(TopologyError::node(&node.name, About::Name, message));
            }
        }
        let mut seen = BTreeSet::new();
        for (name, store) in &self.stores {
            if !seen.insert(name) {
                let message = "the name is taken by another store; give each its own".into();
                errors.push(TopologyError::store(name, About::Name, message));
            }
            let changelog = super::changelog_topic(&self.application_id, name);
            if let Err(why) = check_topic_name(name).and_then(|()| check_topic_name(changelog.as_str())) {
                let what = if store.logged { "a changelog topic" } else { "a directory" };
                let message = format!("the name becomes part of {what}, but it {why}");
                errors.push(TopologyError::store(name, About::Name, message));
            }
        }
    }

    fn check_inputs(&self, errors: &mut Vec<TopologyError>) {
        let by_name: BTreeMap<&str, &Declared> = self.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
        for node in &self.nodes {
            if node.inputs().is_empty() && !matches!(node.kind, DeclaredKind::Source(_)) {
                let message = "it has no inputs, so no record would ever reach it; name at least one node".into();
                errors.push(TopologyError::node(&node.name, About::Inputs, message));
            }
            let mut seen = BTreeSet::new();
            for input in node.inputs() {
                let (about, message) = match by_name.get(input.as_str()) {
                    _ if !seen.insert(input) => {
                        (About::Input(input.clone()), format!("input {input:?} is named twice; name it once"))
                    }
                    None => (About::UnknownInput(input.clone()), format!("there is no node called {input:?}")),
                    Some(Declared { kind: DeclaredKind::Sink { .. }, .. }) => {
                        let message = format!("{input:?} is a sink, which forwards nothing; take its input instead");
                        (About::Input(input.clone()), message)
                    }
                    Some(_) => continue,
                };
                errors.push(TopologyError::node(&node.name, about, message));
            }
        }
    }

    fn check_stores(&self, errors: &mut Vec<TopologyError>) {
        let mut used = BTreeSet::new();
        for node in &self.nodes {
            for (place, store) in node.stores().iter().enumerate() {
                used.insert(store);
                if !self.stores.iter().any(|(name, _)| name == store) {
                    let message = format!("there is no store called {store:?}");
                    errors.push(TopologyError::node(&node.name, About::UnknownStore(store.clone()), message));
                } else if node.stores()[..place].contains(store) {
                    let message = format!("store {store:?} is named twice; name it once");
                    errors.push(TopologyError::node(&node.name, About::Stores, message));
                }
            }
            let DeclaredKind::Processor(processor) = &node.kind else { continue };
            let message = match (&processor.step, processor.stores.len()) {
                (Step::Plugin { .. }, _) | (Step::Count { .. }, 1) => continue,
                (Step::Count { .. }, 0) => "count needs a store for the counts; name one",
                (Step::Count { .. }, _) => "count keeps its counts in exactly one store",
                (_, 0) => continue,
                _ => "this operator uses no store; only plugins and count do",
            };
            errors.push(TopologyError::node(&node.name, About::Stores, message.into()));
        }
        for (name, _) in self.stores.iter().filter(|(name, _)| !used.contains(name)) {
            let message = "no processor uses it; name it in a processor or remove it".into();
            errors.push(TopologyError::store(name, About::Whole, message));
        }
    }

    fn check_topics(&self, errors: &mut Vec<TopologyError>) {
        let mut claimed: BTreeMap<TopicName, &str> = BTreeMap::new();
        for node in &self.nodes {
            self.check_source_names(node, &mut claimed, errors);
            self.check_repartition(node, &mut claimed, errors);
            let DeclaredKind::Sink { topic: SinkTopic::Name(topic), .. } = &node.kind else { continue };
            check_topic(&node.name, topic, errors);
        }
        for node in &self.nodes {
            let DeclaredKind::Source(Source { topics: SourceTopics::Pattern(text), .. }) = &node.kind else { continue };
            let about = || About::Topic(text.clone());
            let pattern = match TopicPattern::new(text) {
                Ok(pattern) => pattern,
                Err(why) => {
                    let message = format!("{text:?} is not a regular expression: {why}");
                    errors.push(TopologyError::node(&node.name, about(), message));
                    continue;
                }
            };
            let mut overlapping: Vec<_> = claimed.iter().filter(|(topic, _)| pattern.matches(topic)).collect();
            overlapping.sort();
            for (topic, owner) in overlapping {
                let message = format!(
                    "pattern {text:?} also matches topic {topic}, which {owner:?} reads already; make the pattern narrower"
                );
                errors.push(TopologyError::node(&node.name, about(), message));
            }
        }
    }

    fn check_source_names<'a>(
        &self,
        node: &'a Declared,
        claimed: &mut BTreeMap<TopicName, &'a str>,
        errors: &mut Vec<TopologyError>,
    ) {
        let DeclaredKind::Source(Source { topics: SourceTopics::Names(topics), .. }) = &node.kind else { return };
        if topics.is_empty() {
            let message = "it reads no topic; name at least one".into();
            errors.push(TopologyError::node(&node.name, About::Whole, message));
        }
        for topic in topics {
            check_topic(&node.name, topic, errors);
            claim(node, topic.clone(), claimed, errors);
        }
    }

    fn check_repartition<'a>(
        &self,
        node: &'a Declared,
        claimed: &mut BTreeMap<TopicName, &'a str>,
        errors: &mut Vec<TopologyError>,
    ) {
        let DeclaredKind::Processor(processor) = &node.kind else { return };
        let (options, default_name) = match &processor.step {
            Step::Count { repartition } => (repartition, processor.stores.first()),
            Step::Repartition(options) => (options, Some(&node.name)),
            _ => return,
        };
        if options.partitions.is_some_and(|partitions| partitions < 1) {
            let message = "a topic has at least one partition".into();
            errors.push(TopologyError::node(&node.name, About::Partitions, message));
        }
        let Some(name) = options.name.as_ref().or(default_name) else { return };
        let topic = repartition_topic(&self.application_id, name);
        if let Err(why) = check_topic_name(name).and_then(|()| check_topic_name(topic.as_str())) {
            let message = format!("{name:?} becomes part of a repartition topic, but it {why}");
            errors.push(TopologyError::node(&node.name, About::RepartitionName, message));
        }
        // Whether a count has a repartition topic is known to the assembly only; two of one name are refused there.
        if matches!(processor.step, Step::Repartition(_)) {
            claim(node, topic, claimed, errors);
        }
    }

    /// The order in which nodes become part of the topology: as declared, but each after its inputs.
    fn order(&self, errors: &mut Vec<TopologyError>) -> Vec<usize> {
        let mut places = BTreeMap::new();
        for (place, node) in self.nodes.iter().enumerate() {
            places.entry(node.name.as_str()).or_insert(place);
        }
        let inputs: Vec<Vec<usize>> = self
            .nodes
            .iter()
            .map(|node| node.inputs().iter().filter_map(|input| places.get(input.as_str()).copied()).collect())
            .collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut is_placed = vec![false; self.nodes.len()];
        while let Some(next) = (0..self.nodes.len())
            .find(|place| !is_placed[*place] && inputs[*place].iter().all(|input| is_placed[*input]))
        {
            is_placed[next] = true;
            order.push(next);
        }
        if order.len() < self.nodes.len() {
            errors.push(self.cycle_error(&inputs, &is_placed));
        }
        order
    }

    /// Names one cycle: from a node that could not be placed, go to inputs that could not be placed until one comes again.
    fn cycle_error(&self, inputs: &[Vec<usize>], is_placed: &[bool]) -> TopologyError {
        let mut path: Vec<usize> = Vec::new();
        let mut next = is_placed.iter().position(|placed| !placed);
        while let Some(place) = next.filter(|place| !path.contains(place)) {
            path.push(place);
            next = inputs[place].iter().copied().find(|input| !is_placed[*input]);
        }
        let start = path.iter().position(|place| Some(*place) == next).unwrap_or(0);
        let mut cycle: Vec<&str> = path[start..].iter().rev().map(|place| self.nodes[*place].name.as_str()).collect();
        let first =
            cycle.iter().enumerate().min_by_key(|(_, name)| places_of(&self.nodes, name)).map_or(0, |(at, _)| at);
        cycle.rotate_left(first);
        let message = format!(
            "records would go in a circle: {} -> {}; send them through a topic instead, or remove one input",
            cycle.join(" -> "),
            cycle[0]
        );
        TopologyError::node(cycle[0], About::Inputs, message)
    }
}

fn places_of(nodes: &[Declared], name: &str) -> usize {
    nodes.iter().position(|node| node.name == name).unwrap_or(usize::MAX)
}

fn check_topic(node: &str, topic: &TopicName, errors: &mut Vec<TopologyError>) {
    if let Err(why) = check_topic_name(topic.as_str()) {
        let message = format!("topic {:?} {why}", topic.as_str());
        errors.push(TopologyError::node(node, About::Topic(topic.as_str().into()), message));
    }
}

fn claim<'a>(
    node: &'a Declared,
    topic: TopicName,
    claimed: &mut BTreeMap<TopicName, &'a str>,
    errors: &mut Vec<TopologyError>,
) {
    if let Some(owner) = claimed.get(&topic) {
        let message = if *owner == node.name {
            format!("topic {topic} is named twice; name it once")
        } else {
            format!(
                "topic {topic} is read by {owner:?} already; a topic has one source, which may have several children"
            )
        };
        errors.push(TopologyError::node(&node.name, About::Topic(topic.as_str().into()), message));
    } else {
        claimed.insert(topic, &node.name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::declaration::Subject;
    use super::super::testing::{parse, word_count};
    use super::*;

    fn names(topology: &Topology) -> Vec<&str> {
        topology.nodes().iter().map(|node| node.name.as_str()).collect()
    }

    #[track_caller]
    fn errors(declarations: &str) -> Vec<(Subject, About)> {
        let errors = parse("app", declarations).build().expect_err("mistakes");
        errors.into_iter().map(|error| (error.subject, error.about)).collect()
    }

    fn node(name: &str) -> Subject {
        Subject::Node(name.into())
    }

    #[test]
    fn a_count_after_a_changed_key_is_repartitioned_under_its_stores_name() {
        let topology = word_count().build().expect("a topology");
        let expected = [
            "lines",
            "split",
            "counts-store-repartition-filter",
            "counts-store-repartition-sink",
            "counts-store-repartition-source",
            "counts",
            "out",
        ];
        assert_eq!(names(&topology), expected);
        assert_eq!(topology.repartitions()[0].topic, TopicName::from("wordcount-counts-store-repartition"));
        let stores: Vec<&[usize]> = topology.sub_topologies().iter().map(|one| one.stores.as_slice()).collect();
        assert_eq!(stores, [&[][..], &[0]]);
        assert_eq!(topology.changelog_topic(&topology.stores()[0].name).as_str(), "wordcount-counts-store-changelog");
    }

    #[test]
    fn a_key_that_is_unchanged_needs_no_repartition() {
        for (declarations, expected) in [
            ("source in t\ncount c in s", 0),
            ("source in t\nsame-key p in\nfilter f p\ncount c f s", 0),
            ("source in t\nprocessor p in\nfilter f p\ncount c f s", 1),
            ("source in t\nprocessor p in\nsame-key q p\ncount c q s", 1),
            ("source in t\ngroup-by g in\ncount c g s\nsame-key p c\ncount d p r", 1),
            ("source in t\ngroup-by g in\nmerge m in,g\ncount c m s", 1),
            ("source in t\ngroup-by g in\nrepartition r g\ncount c r s\ncount d r q", 1),
            ("source in t\ngroup-by g in\ncount c g s\ncount d g r", 2),
            ("source in t\nrepartition r in\nsink out o r", 1),
        ] {
            let topology = parse("app", declarations).build().expect("a topology");
            assert_eq!(topology.repartitions().len(), expected, "{declarations}");
        }
    }

    #[test]
    fn several_inputs_of_a_count_share_one_repartition() {
        let topology =
            parse("app", "source a ta\nsource b tb\nprocessor p a\ncount c p,b s").build().expect("a topology");
        let filter = topology.find_node("s-repartition-filter").expect("a filter");
        let parents: Vec<&str> =
            topology.node(filter).parents.iter().map(|parent| topology.node(*parent).name.as_str()).collect();
        assert_eq!(parents, ["p", "b"]);
    }

    #[test]
    fn nodes_keep_their_order_but_come_after_their_inputs() {
        let topology =
            parse("app", "sink out o late\nsource b tb\nprocessor late a\nsource a ta\nprocessor early b").build();
        assert_eq!(names(&topology.expect("a topology")), ["b", "a", "late", "out", "early"]);
    }

    #[test]
    fn nodes_that_share_a_store_are_in_one_sub_topology() {
        let declarations = "source a ta\nsource b tb\nsource c tc\nprocessor pa a s\nprocessor pb b\nprocessor pc c s";
        let topology = parse("app", declarations).build().expect("a topology");
        let sizes: Vec<usize> = topology.sub_topologies().iter().map(|one| one.nodes.len()).collect();
        assert_eq!(sizes, [4, 2]);
        assert_eq!(topology.stores()[0].users.len(), 2);
    }

    #[test]
    fn children_are_in_the_order_of_their_declarations() {
        let topology =
            parse("app", "source in t\nsink z o1 in\nsink a o2 in\nsink m o3 in").build().expect("a topology");
        let children: Vec<&str> =
            topology.nodes()[0].children.iter().map(|child| topology.node(*child).name.as_str()).collect();
        assert_eq!(children, ["z", "a", "m"]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let declarations = "source in t,t\nsink in o in\nprocessor p nothing,in undeclared\nsink last o p,p";
        let expected = [
            (node("in"), About::Name),
            (node("p"), About::UnknownInput("nothing".into())),
            (node("last"), About::Input("p".into())),
            (node("p"), About::UnknownStore("undeclared".into())),
            (node("in"), About::Topic("t".into())),
        ];
        let errors = errors(declarations);
        for error in &expected {
            assert!(errors.contains(error), "{error:?} in {errors:?}");
        }
    }

    #[test]
    fn a_circle_is_named_from_its_first_node() {
        let error = parse("app", "source in t\nprocessor a in,c\nprocessor b a\nprocessor c b\nsink out o c").build();
        let errors = error.expect_err("a circle");
        assert_eq!(errors.len(), 1);
        assert!(errors[0].message.contains("a -> b -> c -> a"), "{}", errors[0]);
        let itself = parse("app", "source in t\nprocessor a in,a").build().expect_err("a circle");
        assert!(itself[0].message.contains("a -> a"), "{}", itself[0]);
    }

    #[test]
    fn a_generated_name_must_not_meet_a_declared_one() {
        let declarations = "source in t\nprocessor p in\ncount c p s\nprocessor s-repartition-sink in";
        assert_eq!(errors(declarations), [(node("s-repartition-sink"), About::Name)]);
        let declarations = "source in app-s-repartition\nprocessor p in\ncount c p s";
        assert_eq!(errors(declarations), [(node("in"), About::Topic("app-s-repartition".into()))]);
    }

    #[test]
    fn a_store_without_a_user_is_a_mistake() {
        let mut builder = parse("app", "source in t\nprocessor p in");
        builder.store("unused", super::super::testing::key_value_store());
        let errors = builder.build().expect_err("a mistake");
        assert_eq!(errors[0].subject, Subject::Store("unused".into()));
    }

    #[test]
    fn names_that_make_no_topic_are_mistakes() {
        let long = "x".repeat(240);
        assert_eq!(errors(&format!("source in t\nprocessor p in {long}"))[0].1, About::Name);
        assert_eq!(errors(&format!("source in t\nrepartition {long} in"))[0].1, About::RepartitionName);
        assert_eq!(errors("source in t\nsink out a/b in")[0].1, About::Topic("a/b".into()));
    }
}
