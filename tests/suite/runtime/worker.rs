//! The processes that run `run.py`. Starting one costs a second, so they stay for the next who asks.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Those that have nothing to do. They end when the tests do, as their input ends then.
static IDLE: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it prints besides.
    log: PathBuf,
}

/// The line that answers a line.
pub fn answer(python: &Path, batch: &str) -> String {
    let idle = IDLE.lock().expect("nobody panics with the lock").pop();
    let mut worker = idle.unwrap_or_else(|| Worker::start(python));
    let mut line = String::new();
    let sent = writeln!(worker.requests, "{batch}").and_then(|()| worker.answers.read_line(&mut line));
    if sent.is_err() || !line.ends_with('\n') {
        let status = worker.child.wait();
        let log = std::fs::read_to_string(&worker.log).unwrap_or_default();
        panic!("run.py failed, {status:?}:\n{log}");
    }
    IDLE.lock().expect("nobody panics with the lock").push(worker);
    line
}

impl Worker {
    fn start(python: &Path) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}-{number}.log", process::id()));
        let mut child = Command::new(python)
            .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/runtime/run.py")])
            .env_remove("PYTHONPATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file for what it prints"))
            .spawn()
            .expect("the provisioned python starts");
        let requests = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, requests, answers, log }
    }
}
