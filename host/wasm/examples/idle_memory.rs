//! What idle tasks of one plugin take: `cargo run --release -p millstream-wasm --example idle_memory -- plugin.wasm [COUNT]` makes
//! COUNT instances (100), begins their processors, and tells the memory of this process after each step. Needs Linux.
#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::path::PathBuf;
use std::time::Instant;

use millstream_core::context::{ContextSlot, Phase, TaskContext};
use millstream_core::id::TaskId;
use millstream_core::processor::Processor as _;
use millstream_core::record::RecordBatch;
use millstream_core::store::{InMemoryTaskState, Stores};
use millstream_core::topology::NodeIndex;
use millstream_wasm::{InstanceLimits, ProcessorSetup, Runtime, RuntimeSettings, WasmProcessor};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("name a component");
    let count: usize = arguments.next().map_or(100, |count| count.parse().expect("a number"));
    let cache = std::env::temp_dir().join("millstream-idle-memory");
    let settings = RuntimeSettings { cache_directory: Some(cache), ..RuntimeSettings::default() };
    let runtime = Runtime::new(settings).expect("this machine can run Wasm");
    // Compiled before it is measured: compiling takes memory that the allocator keeps.
    let is_first = std::env::var_os("IDLE_MEMORY_COMPILED").is_none();
    let started = Instant::now();
    let component = runtime.load_file(&PathBuf::from(&path)).expect("a plugin");
    if is_first {
        let status = std::process::Command::new(std::env::current_exe().expect("a path"))
            .args([path, count.to_string()])
            .env("IDLE_MEMORY_COMPILED", "1")
            .status();
        assert!(status.expect("started").success());
        return;
    }
    println!("loaded in {:?}; {}", started.elapsed(), memory());
    let processor = component.processors().first().expect("a plugin with a processor").clone();
    let mut live = Vec::new();
    for number in 1..=count {
        let started = Instant::now();
        let setup = ProcessorSetup {
            processor: processor.clone(),
            node: "node".to_owned(),
            task: format!("0_{number}"),
            ..ProcessorSetup::default()
        };
        let mut one = WasmProcessor::new(&component, &InstanceLimits::default(), setup).expect("instantiated");
        let stores = Stores::new(Vec::new(), Box::new(InMemoryTaskState::new(0)));
        let mut slot = ContextSlot::new(TaskContext::new(TaskId::new(0, 0), stores));
        slot.enter(NodeIndex(0), Phase::Init, 0, false, &RecordBatch::default());
        one.init(&mut slot).expect("begun");
        if [1, 2, 10].contains(&number) || number == count {
            println!("{number:>4} instances, the last made and begun in {:?}; {}", started.elapsed(), memory());
        }
        live.push((one, slot));
    }
}

/// The kernel's account of this process. What it shares is counted once: the resident size would count the image of a guest's memory
/// anew for each instance.
fn memory() -> String {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let kilobytes: f64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0.0);
        kilobytes / 1024.0
    };
    let (shared_once, private) = (field("Pss:"), field("Private_Dirty:"));
    format!("{shared_once:.1} MiB, of which {private:.1} are shared with nobody")
}
