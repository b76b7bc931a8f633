//! The plugins of an application: makes what the nodes of a task run.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::TaskId;
use millstream_core::processor::{KeySelector, PluginFactory, Predicate, Processor};
use millstream_core::topology::{FunctionRef, Node, NodeKind, Operation, Topology};

use crate::component::Component;
use crate::function::{WasmKeySelector, WasmPredicate};
use crate::limits::InstanceLimits;
use crate::load_error::LoadError;
use crate::processor::{ProcessorSetup, WasmProcessor};

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
            let chosen = match operation {
                Operation::Plugin { processor, .. } => component.choose_processor(processor.as_deref()),
                Operation::Filter { predicate, .. } => component.choose_predicate(predicate.function.as_deref()),
                Operation::SelectKey { selector } => component.choose_key_selector(selector.function.as_deref()),
                _ => continue,
            };
            errors.extend(chosen.err().map(|error| (node.name.to_string(), error)));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
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
