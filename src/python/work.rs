//! Work beside the interpreter: it runs in threads of its own, while the thread that called gives it samples, tells of
//! progress, and listens for signals. So Python's code runs where it was called, the interpreter is free for other
//! threads in the meantime, and Ctrl-C is heard within a moment: the work ends with the sample that it is at.

use std::{
    ops::ControlFlow,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use onnx_quant::{Error, ErrorKind, Result};
use pyo3::{Py, PyAny, PyErr, PyResult, Python, types::PyAnyMethods};

use super::{
    errors::{Fault, option_error},
    samples::Array,
};

/// How often the calling thread looks for signals.
const PAUSE: Duration = Duration::from_millis(50);

/// What a thread of the pool has for its stack; as much as the main thread of a program.
const STACK: usize = 8 << 20;

/// What is called in Python while the work goes on.
#[derive(Default)]
pub struct Callbacks {
    /// Gives the next sample, or None.
    pub pull: Option<Py<PyAny>>,
    /// Hears how many samples are done, and of how many; what it raises ends the work.
    pub progress: Option<Py<PyAny>>,
}

/// The interpreter as the work sees it.
pub struct Interpreter {
    asks: Sender<Ask>,
    stopped: Arc<AtomicBool>,
}

/// What the calling thread is asked for.
enum Ask {
    Sample(Sender<Vec<Array>>),
    Progress(usize, Option<usize>),
}

impl Interpreter {
    /// Whether the work is to go on.
    ///
    /// # Errors
    /// It is not: an exception is on its way already, which takes the place of this error.
    pub fn go_on(&self) -> Result<()> {
        match self.stopped.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::from(ErrorKind::Sample("interrupted".to_owned()))),
        }
    }

    /// The next sample's arrays; `None` behind the last.
    pub fn sample(&self) -> Option<Result<Vec<Array>>> {
        let (give, given) = mpsc::channel();
        let _ = self.asks.send(Ask::Sample(give));
        match given.recv() {
            Ok(arrays) => Some(Ok(arrays)),
            Err(_) => self.go_on().err().map(Err),
        }
    }

    /// Tells how many samples are done, and hears whether the run is to go on.
    pub fn progress(&self, done: usize, total: Option<usize>) -> ControlFlow<()> {
        let _ = self.asks.send(Ask::Progress(done, total));
        match self.stopped.load(Ordering::Relaxed) {
            false => ControlFlow::Continue(()),
            true => ControlFlow::Break(()),
        }
    }
}

/// Does work in a pool of so many threads, one for each core where nothing is said.
pub fn run<T: Send>(
    py: Python<'_>,
    callbacks: &Callbacks,
    threads: Option<usize>,
    work: impl FnOnce(&Interpreter) -> Result<T, Fault> + Send,
) -> PyResult<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).stack_size(STACK).build();
    let pool = pool.map_err(|error| option_error("failed", &format!("the threads cannot be started: {error}")))?;
    py.detach(|| {
        let stopped = Arc::new(AtomicBool::new(false));
        let (asks, asked) = mpsc::channel();
        let interpreter = Interpreter { asks, stopped: stopped.clone() };
        thread::scope(|scope| {
            // In this thread: an exception is made where the work ends, and everything of it is dropped there.
            let working = scope.spawn(move || pool.install(move || work(&interpreter).map_err(PyErr::from)));
            let mut raised = None;
            loop {
                let answered = match asked.recv_timeout(PAUSE) {
                    Ok(_) if raised.is_some() => Ok(()),
                    Ok(ask) => Python::attach(|py| answer(py, callbacks, ask)),
                    Err(RecvTimeoutError::Timeout) if raised.is_none() => Python::attach(|py| py.check_signals()),
                    Err(RecvTimeoutError::Timeout) => Ok(()),
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                if let Err(error) = answered {
                    stopped.store(true, Ordering::Relaxed);
                    raised = Some(error);
                }
            }
            let result = working.join().unwrap_or_else(|panic| resume_unwind(panic));
            raised.map_or(result, Err)
        })
    })
}

fn answer(py: Python<'_>, callbacks: &Callbacks, ask: Ask) -> PyResult<()> {
    py.check_signals()?;
    match (ask, &callbacks.pull, &callbacks.progress) {
        (Ask::Sample(give), Some(pull), _) => {
            if let Some(arrays) = pull.bind(py).call0()?.extract::<Option<Vec<Array>>>()? {
                let _ = give.send(arrays);
            }
        }
        (Ask::Progress(done, total), _, Some(progress)) => drop(progress.bind(py).call1((done, total))?),
        _ => {}
    }
    Ok(())
}
