//! A processor tried without a task around it: `init` is called with stores in memory, and nothing of it lasts.

use std::time::{SystemTime, UNIX_EPOCH};

use millstream_core::context::{ContextSlot, Phase, TaskContext};
use millstream_core::error::ProcessorFailure;
use millstream_core::id::TaskId;
use millstream_core::processor::Processor as _;
use millstream_core::record::RecordBatch;
use millstream_core::store::{InMemoryTaskState, StoreSettings, Stores};
use millstream_core::topology::NodeIndex;

use crate::component::Component;
use crate::imports::Asked;
use crate::limits::InstanceLimits;
use crate::processor::{ProcessorSetup, WasmProcessor};

/// How often a processor is tried with what it asked for before; each time shows at least one name more.
const TRIES_MAX: usize = 32;

/// What `init` did.
#[derive(Debug)]
pub struct DryRun {
    /// Why the processor could not begin.
    pub failure: Option<ProcessorFailure>,
    /// The stores that it asked for.
    pub stores: Asked,
    /// The children that it asked for.
    pub children: Asked,
    /// Bytes of its memory after `init`.
    pub memory_bytes: usize,
}

impl DryRun {
    /// Calls `init` with the stores that `setup` grants. `stores` are all those of the application.
    #[must_use]
    pub fn of(
        component: &Component,
        limits: &InstanceLimits,
        setup: ProcessorSetup,
        stores: &[(String, bool)],
    ) -> Self {
        let settings = |(name, timestamped): &(String, bool)| StoreSettings {
            name: name.as_str().into(),
            timestamped: *timestamped,
            changelog: None,
        };
        let settings: Vec<StoreSettings> = stores.iter().map(settings).collect();
        let state = Box::new(InMemoryTaskState::new(settings.len()));
        let mut context = TaskContext::new(TaskId::new(0, 0), Stores::new(settings, state));
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        context.wall_clock_time = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        let mut slot = ContextSlot::new(context);
        let children = setup.children.len();
        let mut processor = match WasmProcessor::new(component, limits, setup) {
            Ok(processor) => processor,
            Err(failure) => {
                let (stores, children) = (Asked::default(), Asked::default());
                return Self { failure: Some(failure), stores, children, memory_bytes: 0 };
            }
        };
        slot.enter(NodeIndex(0), Phase::Init, children, false, &RecordBatch::default());
        let failure = processor.init(&mut slot).err();
        let (stores, children) = (processor.asked_stores().clone(), processor.asked_children().clone());
        Self { failure, stores, children, memory_bytes: processor.memory_bytes() }
    }

    /// Calls `init` again and again with the stores and the children that it asked for, until it begins or asks for nothing else: so
    /// it tells which ones it names.
    #[must_use]
    pub fn with_all_that_it_asks_for(component: &Component, processor: &str) -> Self {
        let mut setup = ProcessorSetup {
            plugin: "plugin".to_owned(),
            processor: processor.to_owned(),
            node: processor.to_owned(),
            task: "0_0".to_owned(),
            ..ProcessorSetup::default()
        };
        let mut tried = 0;
        loop {
            let stores: Vec<_> = setup.stores.iter().map(|name| (name.clone(), true)).collect();
            let run = Self::of(component, &InstanceLimits::default(), setup.clone(), &stores);
            tried += 1;
            let has_new_stores = grant(&mut setup.stores, &run.stores.refused);
            let has_new_children = grant(&mut setup.children, &run.children.refused);
            if !(has_new_stores || has_new_children) || tried == TRIES_MAX {
                return run;
            }
        }
    }
}

/// Adds the names that were refused to those that are granted; says whether any of them is new.
fn grant(granted: &mut Vec<String>, refused: &[String]) -> bool {
    let before = granted.len();
    let new: Vec<String> = refused.iter().filter(|name| !granted.contains(name)).cloned().collect();
    granted.extend(new);
    granted.len() > before
}
