//! Signals: whoever interrupts the command finds nothing left behind, and the exit status that the
//! signal stands for.

/// Removes what is being written when the user or the system ends the command, and ends as the signal
/// would have had it. What is ignored already stays so: `nohup` means it.
#[cfg(unix)]
pub fn leave_nothing_when_interrupted() {
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ},
        iterator::Signals,
        low_level::emulate_default_handler,
    };

    let ignored = ignored_signals();
    let is_taken = |signal: &i32| ignored & (1 << (signal - 1)) == 0;
    let ends: Vec<i32> = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(is_taken).collect();
    // Before anything is written. Of a file that grows beyond its limit the write tells, like of a full disk.
    let Ok(mut signals) = Signals::new(ends.iter().chain(&[SIGXFSZ])) else { return };
    let handle = signals.handle();
    let wait = move || {
        if let Some(signal) = signals.forever().find(|signal| *signal != SIGXFSZ) {
            let _nothing_is_written_any_more = onnx_quant::remove_unfinished_files();
            let _ = emulate_default_handler(signal);
            // Only if the system did not let it.
            std::process::exit(128 + signal);
        }
    };
    if std::thread::Builder::new().name("signals".to_owned()).spawn(wait).is_err() {
        // Nobody listens: a process without a thread for that ends by a signal as any other.
        handle.close();
    }
}

/// The signals that are ignored, a bit each, where the system tells.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Elsewhere the system ends a process without asking it.
#[cfg(not(unix))]
pub fn leave_nothing_when_interrupted() {}

/// Ends because nobody reads the output any more: without a word, but not as if all had been written.
pub fn end_by_broken_pipe() -> u8 {
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    1
}
