//! The command as a process, with an eye on its memory.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often a running process is asked for its memory.
const SAMPLING: Duration = Duration::from_millis(2);

/// `onnx-quant in out`, silent.
pub fn command(input: &Path, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnx-quant"));
    command.arg("--quiet").args([input, output]);
    command
}

/// The seconds from start to end of a command that must succeed.
pub fn seconds(mut command: Command) -> io::Result<f64> {
    let start = Instant::now();
    let status = command.status()?;
    let seconds = start.elapsed().as_secs_f64();
    if status.success() { Ok(seconds) } else { Err(io::Error::other(format!("the command failed: {status}"))) }
}

/// What a process held at most, of what sampling saw.
#[derive(Default)]
pub struct Peak {
    /// Its own: `RssAnon`.
    pub anonymous: u64,
    /// Pages of mapped files, which the system takes back when it needs them: `RssFile`.
    pub file: u64,
}

/// Runs a command and samples its memory every 2 ms.
pub fn watch(mut command: Command) -> io::Result<(ExitStatus, f64, Peak)> {
    let start = Instant::now();
    let mut child = command.spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = Peak::default();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, start.elapsed().as_secs_f64(), peak));
        }
        let status = fs::read_to_string(&status_file).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            line.trim_matches(|character: char| !character.is_ascii_digit()).parse::<u64>().unwrap_or(0) * 1024
        };
        peak.anonymous = peak.anonymous.max(field("RssAnon:"));
        peak.file = peak.file.max(field("RssFile:"));
        thread::sleep(SAMPLING);
    }
}

/// A control group with a memory limit and no swap; removed when dropped.
pub struct MemoryLimit {
    folder: PathBuf,
    peak_file: &'static str,
}

impl MemoryLimit {
    /// # Errors
    /// There are no control groups, or this user may not make any.
    pub fn new(bytes: u64) -> io::Result<Self> {
        let name = format!("onnx-quant-bench-{}", std::process::id());
        let version_2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let parent = Path::new(if version_2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" });
        fs::metadata(parent)?;
        let (limit, swap, peak_file) = match version_2 {
            true => ("memory.max", ("memory.swap.max", "0"), "memory.peak"),
            false => ("memory.limit_in_bytes", ("memory.swappiness", "0"), "memory.max_usage_in_bytes"),
        };
        let folder = parent.join(name);
        fs::create_dir(&folder)?;
        let group = Self { folder, peak_file };
        fs::write(group.folder.join(limit), bytes.to_string())?;
        // A system without swap has no such file.
        let _ = fs::write(group.folder.join(swap.0), swap.1);
        Ok(group)
    }

    /// The command, to be run inside.
    pub fn around(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.folder.join("cgroup.procs"));
        shell.arg(command.get_program()).args(command.get_args());
        shell
    }

    /// The most that was charged to the group: own memory and the page cache of what it read and
    /// wrote, which fills the group whatever the program does.
    pub fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.folder.join(self.peak_file)).ok()?.trim().parse().ok()
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Takes a file out of the page cache, so that reading it is charged to whoever reads it next.
pub fn forget_cached(path: &Path) -> io::Result<()> {
    let mut from = std::ffi::OsString::from("if=");
    from.push(path);
    let mut dd = Command::new("dd");
    dd.arg(from).args(["iflag=nocache", "count=0"]).stderr(Stdio::null());
    dd.status().map(|_| ())
}
