//! `bench`: the same work on Millstream, Kafka Streams and others, side by side on one real broker. See bench/README.md.

mod bench;
mod cluster;
mod data;
mod drain;
mod engine;
mod facts;
mod fill;
mod goals;
mod life_cycle;
mod output;
mod plot;
mod process;
mod progress;
mod report;
mod results;
mod workload;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser;

use bench::{Bench, Cores, Destination, Plan};
use engine::{Engine, Guarantee};

/// Runs workloads on engines, compares their outputs, and writes bench/results.json, bench/RESULTS.md and bench/results.svg.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which workloads.
    #[arg(long, value_delimiter = ',', default_value = "W1,W2,W3,W4,W7,W8,W9")]
    workloads: Vec<String>,
    /// Only the variants of them whose names contain one of these texts, such as `1 KiB`.
    #[arg(long, value_delimiter = ';')]
    variants: Vec<String>,
    /// Which engines, in the order of the first turn: what is compared should follow each other.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "librdkafka,millstream,millstream-native,kafka-streams,kafka-streams-tuned,quix,millstream-c,\
                         millstream-go,millstream-javascript,millstream-typescript,millstream-python"
    )]
    engines: Vec<Engine>,
    /// Which guarantees.
    #[arg(long, value_delimiter = ',', default_value = "exactly-once-v2,at-least-once")]
    guarantees: Vec<Guarantee>,
    /// How often each is run.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// What the numbers of records are multiplied with.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// The cores of the broker and of this program, as `taskset` takes them; by default all but the last.
    #[arg(long)]
    broker_cores: Option<String>,
    /// The cores of the engines; by default the last.
    #[arg(long)]
    engine_cores: Option<String>,
    /// Where broker and engines keep their files.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// Where the results are written.
    #[arg(long, default_value = "bench")]
    results: PathBuf,
    /// Keep former results: of the workloads, engines and guarantees that are not measured now.
    #[arg(long)]
    keep: bool,
    /// Only see whether the outputs are right: write no results.
    #[arg(long)]
    check_only: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cores = cores(&arguments);
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let destination = if arguments.check_only {
        None
    } else {
        let kept =
            if arguments.keep { results::read_runs(&arguments.results.join("results.json"))? } else { Vec::new() };
        Some(Destination { directory: arguments.results.clone(), kept })
    };
    let plan = Plan {
        workloads: arguments.workloads,
        variants: arguments.variants,
        engines: arguments.engines,
        guarantees: arguments.guarantees,
        runs: arguments.runs,
    };
    for name in &plan.workloads {
        workload::drained(name, arguments.scale)?;
    }
    let bench = Bench::start(checkout, arguments.directory, cores, arguments.scale, &plan.engines)?;
    bench.run(&plan, destination)
}

/// One core for the engine, the others for the broker; on a machine of one core both share it.
fn cores(arguments: &Arguments) -> Cores {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let last = (count - 1).to_string();
    let others = if count > 2 { format!("0-{}", count - 2) } else { "0".to_owned() };
    Cores {
        broker: arguments.broker_cores.clone().unwrap_or(others),
        engine: arguments.engine_cores.clone().unwrap_or(last),
    }
}
