//! The plugins of an application: makes what the nodes of a task run.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::TaskId;
use millstream_core::processor::{KeySelector, PluginFactory, Predicate, Processor};
use millstream_core::topology::{FunctionRef, Node, NodeKind, Operation, StoreKind, StoreSpec, Topology};

use crate::component::Component;
use crate::dry_run::DryRun;
use crate::function::{WasmKeySelector, WasmPredicate};
use crate::limits::InstanceLimits;
use crate::load_error::LoadError;
use crate::processor::{ProcessorSetup, WasmProcessor};

/// A node of a topology, as it was tried.
#[derive(Debug)]
pub struct NodeTrial {
    /// The node.
    pub node: String,
    /// Its plugin, by its name in the manifest.
    pub plugin: String,
    /// Processor, predicate or key selector.
    pub kind: &'static str,
    /// Which of the component's.
    pub function: String,
    /// What the processor did; a predicate and a key selector have no beginning.
    pub run: Option<DryRun>,
}

/// The plugins of an application by their names in the manifest, for one topology. Cheap to clone, one for each stream
/// thread.
#[derive(Clone, Debug)]
pub struct WasmPlugins {
    plugins: Arc<BTreeMap<String, (Component, InstanceLimits)>>,
    topology: Arc<Topology>,
}

impl WasmPlugins {
    /// The plugins, each with its limits.
    #[must_use]
    pub fn new(plugins: BTreeMap<String, (Component, InstanceLimits)>, topology: Arc<Topology>) -> Self {
        Self { plugins: Arc::new(plugins), topology }
    }

    /// Checks that each node finds the processor or function that it names; says which doesn't.
    ///
    /// # Errors
    ///
    /// One for each node that doesn't.
    pub fn check(&self) -> Result<(), Vec<(String, LoadError)>> {
        let mut errors = Vec::new();
        for node in self.topology.nodes() {
            let Some((component, _)) = node.plugin().and_then(|plugin| self.plugins.get(plugin)) else { continue };
            let NodeKind::Processor(operation) = &node.kind else { continue };
            let error = chosen(component, operation).and_then(Result::err);
            errors.extend(error.map(|error| (node.name.to_string(), error)));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The plugins that were loaded, by name.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Component)> {
        self.plugins.iter().map(|(name, (component, _))| (name.as_str(), component))
    }

    /// Tries each node whose plugin was loaded and contains what it names: its processor begins, with the node's settings and with
    /// stores in memory.
    #[must_use]
    pub fn try_nodes(&self) -> Vec<NodeTrial> {
        let is_timestamped = |store: &StoreSpec| store.kind == StoreKind::TimestampedKeyValue;
        let stores = self.topology.stores().iter().map(|store| (store.name.to_string(), is_timestamped(store)));
        let stores: Vec<(String, bool)> = stores.collect();
        let mut trials = Vec::new();
        for node in self.topology.nodes() {
            let Some((plugin, (component, limits))) =
                node.plugin().and_then(|plugin| Some((plugin, self.plugins.get(plugin)?)))
            else {
                continue;
            };
            let NodeKind::Processor(operation) = &node.kind else { continue };
            let Some((kind, function)) = chosen(component, operation).and_then(Result::ok) else { continue };
            let run = (kind == "processor").then(|| {
                let setup = self.setup(node, TaskId::new(0, 0), plugin, function);
                DryRun::of(component, limits, setup, &stores)
            });
            let (plugin, function) = (plugin.to_owned(), function.to_owned());
            trials.push(NodeTrial { node: node.name.to_string(), plugin, kind, function, run });
        }
        trials
    }

    fn plugin(&self, name: &str) -> Result<&(Component, InstanceLimits), ProcessorFailure> {
        let missing = || ProcessorFailure::native(FailureCause::Answer, format!("plugin `{name}` was not loaded"));
        self.plugins.get(name).ok_or_else(missing)
    }

    fn setup(&self, node: &Node, task: TaskId, plugin: &str, processor: &str) -> ProcessorSetup {
        let name_of = |child: &millstream_core::topology::NodeIndex| self.topology.nodes()[child.0].name.to_string();
        let config = match &node.kind {
            NodeKind::Processor(Operation::Plugin { config, .. }) => config.clone(),
            _ => BTreeMap::new(),
        };
        ProcessorSetup {
            application: self.topology.application_id().to_owned(),
            plugin: plugin.to_owned(),
            processor: processor.to_owned(),
            node: node.name.to_string(),
            task: task.to_string(),
            config,
            children: node.children.iter().map(name_of).collect(),
            stores: node.stores.iter().map(|store| self.topology.stores()[*store].name.to_string()).collect(),
        }
    }
}

/// What a node takes from its plugin: of which kind it is, and its name in the component. None for an operation without a plugin.
fn chosen<'a>(
    component: &'a Component,
    operation: &'a Operation,
) -> Option<Result<(&'static str, &'a str), LoadError>> {
    let (kind, chosen) = match operation {
        Operation::Plugin { processor, .. } => ("processor", component.choose_processor(processor.as_deref())),
        Operation::Filter { predicate, .. } => ("predicate", component.choose_predicate(predicate.function.as_deref())),
        Operation::SelectKey { selector } => {
            ("key selector", component.choose_key_selector(selector.function.as_deref()))
        }
        _ => return None,
    };
    Some(chosen.map(|name| (kind, name)))
}

fn not_found(component: &Component, error: &LoadError) -> ProcessorFailure {
    let digest = component.digest().to_owned();
    ProcessorFailure { cause: FailureCause::Answer, index: None, reason: error.to_string(), digest }
}

impl PluginFactory for WasmPlugins {
    fn processor(&mut self, node: &Node, task: TaskId) -> Result<Box<dyn Processor>, ProcessorFailure> {
        let NodeKind::Processor(Operation::Plugin { plugin, processor, .. }) = &node.kind else {
            let reason = format!("node `{}` is no plugin's", node.name);
            return Err(ProcessorFailure::native(FailureCause::Answer, reason));
        };
        let (component, limits) = self.plugin(plugin)?;
        let chosen = component.choose_processor(processor.as_deref()).map_err(|error| not_found(component, &error))?;
        let setup = self.setup(node, task, plugin, chosen);
        Ok(Box::new(WasmProcessor::new(component, limits, setup)?))
    }

    fn predicate(
        &mut self,
        node: &Node,
        function: &FunctionRef,
        task: TaskId,
    ) -> Result<Box<dyn Predicate>, ProcessorFailure> {
        let FunctionRef { plugin, function } = function;
        let (component, limits) = self.plugin(plugin)?;
        let chosen = component.choose_predicate(function.as_deref()).map_err(|error| not_found(component, &error))?;
        let about = [self.topology.application_id(), plugin.as_str(), node.name.as_str(), &task.to_string()];
        Ok(Box::new(WasmPredicate::new(component, limits, chosen, about)?))
    }

    fn key_selector(
        &mut self,
        node: &Node,
        function: &FunctionRef,
        task: TaskId,
    ) -> Result<Box<dyn KeySelector>, ProcessorFailure> {
        let FunctionRef { plugin, function } = function;
        let (component, limits) = self.plugin(plugin)?;
        let chosen =
            component.choose_key_selector(function.as_deref()).map_err(|error| not_found(component, &error))?;
        let about = [self.topology.application_id(), plugin.as_str(), node.name.as_str(), &task.to_string()];
        Ok(Box::new(WasmKeySelector::new(component, limits, chosen, about)?))
    }
}
