//! The whole bench: which workloads are run on which engines, how often, and where the results go.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cluster::Cluster;
use crate::drain::drain;
use crate::engine::{Engine, Guarantee, Installed, output_of};
use crate::fill;
use crate::output;
use crate::progress::say;
use crate::results::{self, Circumstances, Run};
use crate::workload::{self, Workload};
use crate::{facts, life_cycle, report};

/// The cores of broker and engine, as `taskset` takes them.
#[derive(Clone, Debug)]
pub struct Cores {
    /// Of the broker, and of this program.
    pub broker: String,
    /// Of the engines.
    pub engine: String,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of workloads.
    pub workloads: Vec<String>,
    /// Of their variants those whose names contain one of these; all if there is none.
    pub variants: Vec<String>,
    /// Engines, in the order of the first turn; the second goes back.
    pub engines: Vec<Engine>,
    /// Guarantees.
    pub guarantees: Vec<Guarantee>,
    /// Runs of each.
    pub runs: u32,
}

impl Plan {
    /// Whether one run of a workload is made first that is not counted: after a filling it is slower than any later one, whoever's it is. A single
    /// one is there to see that all works.
    pub fn has_warm_up(&self) -> bool {
        self.runs > 1
    }
}

/// See the file's documentation.
pub struct Bench {
    /// The broker.
    pub cluster: Cluster,
    /// The engines.
    pub installed: Installed,
    /// Where broker and engines keep their files.
    pub directory: PathBuf,
    /// Cores.
    pub cores: Cores,
    /// What the numbers of records are multiplied with.
    pub scale: f64,
    applications: Cell<u32>,
}

/// Where the results go; `None` keeps none of them.
pub struct Destination {
    /// The directory of `results.json`, `RESULTS.md` and the plot.
    pub directory: PathBuf,
    /// Results of former runs that stay, because this one does not measure them again.
    pub kept: Vec<Run>,
}

impl Bench {
    /// Starts the broker.
    ///
    /// # Errors
    ///
    /// When something is missing or does not start.
    pub fn start(checkout: &Path, directory: PathBuf, cores: Cores, scale: f64, engines: &[Engine]) -> Result<Self> {
        let installed = Installed::find(checkout, engines)?;
        // This program shares the broker's cores, so that it does not disturb the engines.
        output_of(Command::new("taskset").args(["-a", "-c", "-p", &cores.broker, &std::process::id().to_string()]))
            .context("run `.ci/install bench`")?;
        std::fs::create_dir_all(&directory).with_context(|| format!("can't create {}", directory.display()))?;
        let cluster = Cluster::start(checkout, &directory.join("broker"), &cores.broker)?;
        Ok(Self { cluster, installed, directory, cores, scale, applications: Cell::new(0) })
    }

    /// An id that no application had before, in this run or another.
    pub fn next_application_id(&self, engine: Engine) -> String {
        self.applications.set(self.applications.get() + 1);
        format!("bench-{}-{}-{}", engine.name(), std::process::id(), self.applications.get())
    }

    /// Runs the plan, and writes the results after each run.
    ///
    /// # Errors
    ///
    /// When an engine fails or is wrong.
    pub fn run(&self, plan: &Plan, destination: Option<Destination>) -> Result<()> {
        let place = facts::place(self);
        let mut results = Results {
            destination,
            circumstances: facts::gather(self, plan, &place),
            place,
            has_all_variants: plan.variants.is_empty(),
            runs: Vec::new(),
            engine_seconds: 0.0,
        };
        let busy = facts::Busy::now();
        for name in &plan.workloads {
            let is_wanted = |workload: &Workload| {
                plan.variants.is_empty() || plan.variants.iter().any(|text| workload.variant.contains(text.as_str()))
            };
            for workload in workload::drained(name, self.scale)?.into_iter().filter(is_wanted) {
                self.run_workload(&workload, plan, &mut results)?;
            }
            if name == "W8" {
                life_cycle::run(self, plan, &mut |run| results.add(run))?;
            }
            results.circumstances.facts.retain(|(fact, _)| fact != facts::OTHERS);
            results.circumstances.facts.push(busy.of_others(results.engine_seconds));
        }
        results.write()
    }

    fn run_workload(&self, workload: &Workload, plan: &Plan, results: &mut Results) -> Result<()> {
        let engines: Vec<Engine> = plan.engines.iter().copied().filter(|engine| engine.can_run(workload)).collect();
        if engines.is_empty() {
            return Ok(());
        }
        say(format_args!(
            "{} {}: filling {} records",
            workload.name,
            workload.variant,
            workload::Count(workload.records)
        ));
        let input = fill::input_topic(&self.cluster, workload)?;
        let expected = output::expected(workload);
        // Both guarantees of an engine follow each other, as do engines that stand side by side in the plan: those are compared.
        let mut contenders: Vec<(Engine, Guarantee)> =
            engines.iter().flat_map(|engine| plan.guarantees.iter().map(|guarantee| (*engine, *guarantee))).collect();
        let drain_with = |(engine, guarantee)| drain(self, workload, &input, engine, guarantee, &expected);
        if let [first, ..] = contenders[..]
            && plan.has_warm_up()
        {
            let warm_up = drain_with(first)?;
            say(format_args!("  not counted {}", Line(&warm_up)));
            results.engine_seconds += warm_up.cpu_seconds;
        }
        // By turns, so that what else the machine does meets all sides; there and back, so that none always has the same one before it.
        for run in 1..=plan.runs {
            for contender in &contenders {
                let measured = drain_with(*contender)?;
                say(format_args!("  {run}/{} {}", plan.runs, Line(&measured)));
                results.add(measured)?;
            }
            contenders.reverse();
        }
        Ok(())
    }
}

/// The results so far, and where they go.
struct Results {
    destination: Option<Destination>,
    circumstances: Circumstances,
    place: facts::Place,
    /// Whether each workload is measured with all of its variants.
    has_all_variants: bool,
    runs: Vec<Run>,
    /// The CPU time of all engines, to tell what others used.
    engine_seconds: f64,
}

impl Results {
    fn add(&mut self, mut run: Run) -> Result<()> {
        self.engine_seconds += run.cpu_seconds;
        run.settings.extend(self.place.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())));
        self.runs.push(run);
        self.write()
    }

    fn write(&self) -> Result<()> {
        let Some(destination) = &self.destination else { return Ok(()) };
        // Another scale has other variants, which replace the former ones; a run of some variants leaves the others.
        let replaces = |run: &Run, kept: &Run| {
            (&run.workload, &run.engine, &run.guarantee) == (&kept.workload, &kept.engine, &kept.guarantee)
                && (self.has_all_variants || run.variant == kept.variant)
        };
        let is_new = |kept: &&Run| self.runs.iter().any(|run| replaces(run, kept));
        let mut runs: Vec<Run> = destination.kept.iter().filter(|kept| !is_new(kept)).cloned().collect();
        runs.extend(self.runs.iter().cloned());
        // The sort is stable: runs of a workload stay in their order.
        runs.sort_by(|one, other| one.workload.cmp(&other.workload));
        results::write_json(&destination.directory.join("results.json"), &runs)?;
        report::write(&destination.directory, &runs, &self.circumstances)
    }
}

/// One line about one run.
struct Line<'a>(&'a Run);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(run) = self;
        write!(
            f,
            "{:<20} {:<16} {:6.2} CPU-s per million ({:.2} second half), {:.0} records/s, {} MiB",
            run.engine,
            run.guarantee,
            run.cpu_per_million(),
            run.cpu_per_million_second_half(),
            run.records_per_second(),
            run.peak_rss_bytes >> 20
        )
    }
}
