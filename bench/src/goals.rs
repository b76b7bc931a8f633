//! The goals, and whether the runs reach them.

use std::fmt::Write;

use crate::report::Group;
use crate::results::Run;

const EXACTLY_ONCE: &str = "exactly-once-v2";
const AT_LEAST_ONCE: &str = "at-least-once";

/// A goal, and what was measured of it.
struct Line {
    goal: String,
    measured: f64,
    is_reached: bool,
}

/// What W8 calls its measurements; they are its variants.
pub mod life_cycle {
    /// From an empty directory, until all stores have what the changelog has.
    pub const RESTORE: &str = "restore";
    /// An application without state that the broker does not know yet.
    pub const START_NEW: &str = "first start of a new application";
    /// With its state, and `solo`, so that nobody is asked for tasks.
    pub const START: &str = "start to first committed output, solo";
    /// The process before was asked to end.
    pub const RESTART_CLEAN: &str = "restart after a clean stop";
    /// The process before was killed.
    pub const RESTART_KILLED: &str = "restart after SIGKILL";
    /// Nothing to do.
    pub const IDLE: &str = "idle";
    /// The median of the commits of an application that has a thousand records a second to do.
    pub const COMMIT: &str = "median commit";
}

/// The table of goals; those that nothing was measured for are left out.
#[must_use]
pub fn table(groups: &[Group<'_>]) -> String {
    let lines = against_kafka_streams(groups)
        .into_iter()
        .chain(against_the_limit(groups))
        .chain(against_ourselves(groups))
        .chain(of_life_cycle(groups));
    let mut table = String::from("| goal | measured | reached |\n|---|--:|---|\n");
    for Line { goal, measured, is_reached } in lines {
        let _ = writeln!(table, "| {goal} | {measured:.2} | {} |", if is_reached { "yes" } else { "no" });
    }
    table
}

fn at_most(goal: String, measured: f64, limit: f64) -> Line {
    Line { goal, measured, is_reached: measured <= limit }
}

fn at_least(goal: String, measured: f64, limit: f64) -> Line {
    Line { goal, measured, is_reached: measured >= limit }
}

/// The same work of another engine.
fn counterpart<'a, 'b>(groups: &'a [Group<'b>], ours: &Group<'_>, engine: &str) -> Option<&'a Group<'b>> {
    groups.iter().find(|group| group.first().engine == engine && group.first().is_same_work(ours.first()))
}

fn find<'a, 'b>(
    groups: &'a [Group<'b>],
    workload: &str,
    variant: &str,
    engine: &str,
    guarantee: &str,
) -> Option<&'a Group<'b>> {
    groups.iter().find(|group| {
        let first = group.first();
        (first.workload.as_str(), first.variant.as_str(), first.engine.as_str(), first.guarantee.as_str())
            == (workload, variant, engine, guarantee)
    })
}

/// Both, if both are there and ran on the same machine.
fn comparable<'a, 'b>(
    one: Option<&'a Group<'b>>,
    other: Option<&'a Group<'b>>,
) -> Option<(&'a Group<'b>, &'a Group<'b>)> {
    one.zip(other).filter(|(one, other)| one.first().is_same_machine(other.first()))
}

fn ours<'a, 'b>(groups: &'a [Group<'b>], engine: &'a str) -> impl Iterator<Item = &'a Group<'b>> {
    groups.iter().filter(move |group| {
        group.first().engine == engine && !["W8", "W9", "L"].contains(&group.first().workload.as_str())
    })
}

fn ratio(one: &Group<'_>, other: &Group<'_>, of: impl Fn(&Run) -> f64 + Copy) -> f64 {
    one.spread(of).median / other.spread(of).median
}

fn named(group: &Group<'_>) -> String {
    let Run { workload, variant, guarantee, .. } = group.first();
    format!("{workload} {variant}, {guarantee}")
}

fn against_kafka_streams(groups: &[Group<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    for ours in ours(groups, "millstream") {
        let name = named(ours);
        if let Some(theirs) = counterpart(groups, ours, "kafka-streams") {
            let goal = format!("{name}: CPU at most 0.25 of Kafka Streams' (default)");
            lines.push(at_most(goal, ratio(ours, theirs, Run::cpu_per_million), 0.25));
            let goal = format!("{name}: peak memory at most 0.25 of Kafka Streams'");
            lines.push(at_most(goal, ratio(ours, theirs, |run| run.peak_rss_bytes as f64), 0.25));
        }
        if let Some(theirs) = counterpart(groups, ours, "kafka-streams-tuned") {
            let goal = format!("{name}: CPU at most 0.33 of Kafka Streams' (tuned)");
            lines.push(at_most(goal, ratio(ours, theirs, Run::cpu_per_million), 1.0 / 3.0));
        }
    }
    lines
}

fn against_the_limit(groups: &[Group<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    for ours in ours(groups, "millstream") {
        if let Some(raw) = counterpart(groups, ours, "librdkafka") {
            let name = named(ours);
            let goal = format!("{name}: CPU at most 1.15 times the raw librdkafka loop's");
            lines.push(at_most(goal, ratio(ours, raw, Run::cpu_per_million), 1.15));
            let goal = format!("{name}: records/s at least 0.9 of the raw loop's");
            lines.push(at_least(goal, ratio(ours, raw, Run::records_per_second), 0.9));
        }
    }
    lines
}

fn against_ourselves(groups: &[Group<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    for ours in ours(groups, "millstream") {
        if let Some(native) = counterpart(groups, ours, "millstream-native") {
            let goal = format!("{}: the plugin's CPU at most 1.1 times the native operator's", named(ours));
            lines.push(at_most(goal, ratio(ours, native, Run::cpu_per_million), 1.1));
        }
        let Run { workload, variant, guarantee, .. } = ours.first();
        let other = find(groups, workload, variant, "millstream", AT_LEAST_ONCE)
            .filter(|other| guarantee == EXACTLY_ONCE && other.first().records == ours.first().records)
            .filter(|other| other.first().is_same_machine(ours.first()));
        if let Some(other) = other {
            let goal = format!("{workload} {variant}: exactly-once's CPU at most 1.1 times at-least-once's");
            lines.push(at_most(goal, ratio(ours, other, Run::cpu_per_million), 1.1));
        }
    }
    for guarantee in [EXACTLY_ONCE, AT_LEAST_ONCE] {
        let of_tasks = |tasks| find(groups, "W9", tasks, "millstream", guarantee);
        if let Some((one, many)) = comparable(of_tasks("1 task, 1 thread"), of_tasks("200 tasks, 1 thread")) {
            let goal = format!("W9, {guarantee}: CPU a record at 200 tasks at most 1.3 times that at 1 task");
            lines.push(at_most(goal, ratio(many, one, Run::cpu_per_million), 1.3));
        }
    }
    lines
}

fn of_life_cycle(groups: &[Group<'_>]) -> Vec<Line> {
    let find = |variant, engine| find(groups, "W8", variant, engine, EXACTLY_ONCE);
    let mut lines = Vec::new();
    let seconds = |run: &Run| run.wall_seconds;
    let both = |variant| comparable(find(variant, "millstream"), find(variant, "kafka-streams"));
    if let Some((ours, theirs)) = both(life_cycle::RESTORE) {
        let goal = "W8: restore at least 4 times Kafka Streams' entries/s".to_owned();
        lines.push(at_least(goal, ratio(ours, theirs, Run::records_per_second), 4.0));
    }
    if let Some(ours) = find(life_cycle::START, "millstream") {
        let goal = "W8: start to first committed output at most 0.3 s (`solo`, with state)".to_owned();
        lines.push(at_most(goal, ours.spread(seconds).median, 0.3));
    }
    if let Some(ours) = find(life_cycle::COMMIT, "millstream") {
        let goal = "W8: median commit at most 10 ms at 100 ms intervals".to_owned();
        lines.push(at_most(goal, 1e3 * ours.spread(seconds).median, 10.0));
    }
    if let Some(ours) = find(life_cycle::RESTART_CLEAN, "millstream") {
        let goal = "W8: restart after a clean stop at most 1 s to the first committed output".to_owned();
        lines.push(at_most(goal, ours.spread(seconds).median, 1.0));
    }
    if let Some((ours, theirs)) = both(life_cycle::IDLE) {
        let goal = "W8: idle memory at most 0.33 of Kafka Streams'".to_owned();
        lines.push(at_most(goal, ratio(ours, theirs, |run| run.peak_rss_bytes as f64), 1.0 / 3.0));
        let goal = "W8: idle CPU at most 0.25 of Kafka Streams'".to_owned();
        lines.push(at_most(goal, ratio(ours, theirs, |run| run.cpu_seconds), 0.25));
    }
    lines
}
