//! What the benchmarks have in common: the machine's time and memory, and a figure as one JSON line.

use std::time::Instant;

use serde_json::{Value, json};

/// The memory of this process, in bytes; Linux only.
pub(crate) fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes: f64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Prints one figure. `met`: whether the goal is, where that can be told.
pub(crate) fn figure(bench: &str, of: &str, name: &str, (value, unit): (Value, &str), goal: impl Into<Value>, met: Option<bool>) {
    println!(
        "{}",
        json!({ "bench": bench, "figure": name, "value": value, "unit": unit, "goal": goal.into(), "met": met, "of": of })
    );
}
