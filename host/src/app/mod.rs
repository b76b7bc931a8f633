//! The composition root: the only place that names the adapters and puts them together with the core.

mod on_embedded;
#[cfg(feature = "kafka")]
mod on_kafka;
mod plugins;
mod state;

use std::sync::Arc;

use millstream_core::topology::{ResolvedTopology, Topology};

use crate::config::{Application, Settings};
use crate::failure::Failure;
use crate::supervisor::ThreadReport;

pub use on_embedded::{DevOptions, run_on_embedded_log};
#[cfg(feature = "kafka")]
pub use on_kafka::run_on_kafka;
pub use plugins::{PluginMistake, PluginSet, plugin_runtime};

/// What all stream threads of a process share.
#[derive(Clone)]
struct Parts {
    settings: Arc<Settings>,
    topology: Arc<Topology>,
    plugins: Arc<PluginSet>,
}

impl Parts {
    /// Compiles the plugins of `application`, and checks that they contain what the topology names.
    fn load(application: Application) -> Result<Self, Failure> {
        let Application { settings, topology, .. } = application;
        let topology = Arc::new(topology);
        let plugins = Arc::new(PluginSet::load(&settings, &topology)?);
        Ok(Self { settings: Arc::new(settings), topology, plugins })
    }

    fn stream_threads(&self) -> u32 {
        u32::try_from(self.settings.stream_threads).unwrap_or(u32::MAX)
    }
}

/// The tasks of a `solo` process's thread: they take turns.
fn tasks_of_thread(
    resolved: &ResolvedTopology,
    thread: u32,
    threads: u32,
) -> std::collections::BTreeSet<millstream_core::id::TaskId> {
    let numbered = resolved.tasks().into_iter().zip((0..threads).cycle());
    numbered.filter(|(_, owner)| *owner == thread).map(|(task, _)| task).collect()
}

/// What the threads' last reports mean for the process.
fn outcome_of(reports: &[ThreadReport]) -> Result<(), Failure> {
    if let Some(report) = reports.iter().find(|report| report.error.is_some()) {
        let error = anyhow::anyhow!("{}", report.error.as_deref().unwrap_or_default());
        return Err(if report.panicked { Failure::internal(error) } else { Failure::outside(error) });
    }
    match reports.iter().flat_map(|report| report.failed_tasks.values()).next() {
        Some(reason) => Err(Failure::outside(anyhow::anyhow!("{reason}"))),
        None => Ok(()),
    }
}
