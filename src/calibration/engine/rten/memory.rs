//! Memory that there is and that a run takes: Rust ends the process where there is too little, so that has
//! to be known before.

use std::fs;

use super::{Refused, shapes::Shapes};
use crate::ir::{Model, ValueId};

/// rten's tensors have four bytes an element; those of bytes are few.
const BYTES: f64 = 4.0;

/// Fails, with the operator's name, if an operator makes a tensor that memory has no room for beside the
/// watched values, which are all kept to the end of the run.
pub(super) fn check(model: &Model, watched: &[ValueId], shapes: &Shapes) -> Result<(), Refused> {
    let Some(available) = available() else { return Ok(()) };
    let bytes = |value: ValueId| shapes.elements(value).unwrap_or(0.0) * BYTES;
    let mut kept = 0.0;
    for op in model.ops() {
        let made: Vec<ValueId> = model.outputs(op).into_iter().flatten().collect();
        let own: f64 = made.iter().map(|&value| bytes(value)).sum();
        kept += made.iter().filter(|value| watched.contains(value)).map(|&value| bytes(value)).sum::<f64>();
        if own.max(kept) > available {
            let (own, available) = (gigabytes(own.max(kept)), gigabytes(available));
            let reason = format!("would need {own} of memory, and {available} are left; smaller samples may do");
            return Err(Refused { op, reason });
        }
    }
    Ok(())
}

fn gigabytes(bytes: f64) -> String {
    if bytes < 1e15 { format!("{:.1} GB", bytes / 1e9) } else { "more than a million GB".to_owned() }
}

/// The bytes that this process can still have, as far as the system tells.
fn available() -> Option<f64> {
    let left = [free(), below_limit(), in_group()];
    left.into_iter().flatten().reduce(f64::min)
}

/// What the machine has left.
fn free() -> Option<f64> {
    number_after(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:").map(|kilobytes| kilobytes * 1024.0)
}

/// What `ulimit -v` leaves.
fn below_limit() -> Option<f64> {
    let limit = number_after(&fs::read_to_string("/proc/self/limits").ok()?, "Max address space")?;
    let used = number_after(&fs::read_to_string("/proc/self/status").ok()?, "VmSize:")?;
    Some(limit - used * 1024.0)
}

/// What the container leaves.
fn in_group() -> Option<f64> {
    let read = |name: &str| number_after(&fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?, "");
    Some(read("memory.max")? - read("memory.current")?)
}

/// The number that follows a label; `None` for words such as `unlimited`.
fn number_after(text: &str, label: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}
