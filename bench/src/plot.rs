//! The plot: CPU a record of every engine, a block of bars for each workload, as SVG.

use std::fmt::Write;

use crate::report::{Group, groups};
use crate::results::Run;

const WIDTH: f64 = 900.0;
const LABEL_WIDTH: f64 = 190.0;
const BAR_HEIGHT: f64 = 14.0;
const BLOCK_GAP: f64 = 34.0;
const VALUE_WIDTH: f64 = 70.0;
const STROKE: &str = "#222";

/// Each block has a scale of its own: the workloads are far apart.
#[must_use]
pub fn svg(runs: &[Run]) -> String {
    let drained: Vec<Run> = runs.iter().filter(|run| run.workload != "W8").cloned().collect();
    let groups = groups(&drained);
    let mut blocks: Vec<Vec<&Group<'_>>> = Vec::new();
    for group in &groups {
        let name = |group: &Group<'_>| {
            let Run { workload, variant, guarantee, .. } = group.first().clone();
            (workload, variant, guarantee)
        };
        match blocks.iter_mut().find(|block| name(block[0]) == name(group)) {
            Some(block) => block.push(group),
            None => blocks.push(vec![group]),
        }
    }
    let mut body = String::new();
    let mut y = 30.0;
    for block in &blocks {
        let Run { workload, variant, guarantee, records, .. } = block[0].first();
        let _ = writeln!(
            body,
            r#"<text x="8" y="{y}" class="title">{workload} {variant}, {guarantee} ({records} records)</text>"#
        );
        y += 8.0;
        let cpu = |group: &Group<'_>| group.spread(Run::cpu_per_million);
        let longest = block.iter().map(|group| cpu(group).high).fold(f64::MIN_POSITIVE, f64::max);
        let scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest;
        for group in block {
            bar(&mut body, y, &group.first().engine, cpu(group), scale);
            y += BAR_HEIGHT + 3.0;
        }
        y += BLOCK_GAP - 8.0;
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">
<style>text {{ font: 12px sans-serif; fill: #222 }} .title {{ font-weight: bold }} .value {{ fill: #555 }}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="8" y="14" class="value">CPU-seconds of the whole process per million input records: median bar, line from lowest to highest; shorter is better</text>
{body}</svg>
"##
    )
}

fn bar(body: &mut String, y: f64, engine: &str, cpu: crate::results::Spread, scale: f64) {
    let colour = match engine {
        "millstream" => "#1a7f5a",
        "millstream-native" => "#6cc3a0",
        "librdkafka" => "#999999",
        "quix" => "#b58900",
        _ => "#b5473c",
    };
    let (x, middle, text) = (LABEL_WIDTH, y + BAR_HEIGHT / 2.0, y + BAR_HEIGHT - 3.0);
    let (low, width, high) = (x + cpu.low * scale, cpu.median * scale, x + cpu.high * scale);
    let _ = writeln!(
        body,
        r#"<text x="{}" y="{text}" text-anchor="end">{engine}</text><rect x="{x}" y="{y}" width="{width:.1}" height="{BAR_HEIGHT}" fill="{colour}"/><line x1="{low:.1}" x2="{high:.1}" y1="{middle}" y2="{middle}" stroke="{STROKE}"/><text x="{:.1}" y="{text}" class="value">{:.2}</text>"#,
        x - 6.0,
        high.max(x + width) + 6.0,
        cpu.median
    );
}
