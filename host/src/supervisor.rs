//! Starts the stream threads, watches over them, and ends them: drained on request, at once on the second request.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millstream_core::id::TaskId;
use millstream_core::port::Waker;
use millstream_core::stream_thread::{StreamThread, Totals};

use crate::failure::with_causes;

/// Makes one stream thread. Called on the thread itself: nothing that it owns moves between threads.
pub type MakeThread = dyn Fn(u32) -> anyhow::Result<(StreamThread, Arc<dyn Waker>)> + Send + Sync;

/// What a stream thread last said of itself.
#[derive(Clone, Debug, Default)]
pub struct ThreadReport {
    /// Its running totals.
    pub totals: Totals,
    /// Whether it has processed and committed everything that is there.
    pub caught_up: bool,
    /// The rounds that it has made, to tell a new report from an old one.
    pub rounds: u64,
    /// Its tasks that failed for good, and why.
    pub failed_tasks: BTreeMap<TaskId, String>,
    /// Whether the thread has ended.
    pub ended: bool,
    /// Why the thread ended, if not because it was asked to.
    pub error: Option<String>,
    /// Whether it ended by a broken invariant of the program.
    pub panicked: bool,
}

/// How often a busy thread reports. Not every round, since a report takes a lock.
const REPORT_INTERVAL: Duration = Duration::from_millis(20);

const RUN: u8 = 0;
const DRAIN: u8 = 1;
/// As `DRAIN`, but new threads follow.
const REPLACE: u8 = 2;

struct Shared {
    request: AtomicU8,
    reports: Mutex<Vec<ThreadReport>>,
    changed: Condvar,
    wakers: Mutex<Vec<Arc<dyn Waker>>>,
}

impl Shared {
    fn wake_threads(&self) {
        for waker in lock(&self.wakers).iter() {
            waker.wake();
        }
        self.changed.notify_all();
    }
}

/// Asks the stream threads to end; may be used from any thread, also by a signal's.
#[derive(Clone)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

impl StopHandle {
    /// Lets every thread commit, close its tasks clean and leave.
    pub fn drain(&self) {
        self.shared.request.store(DRAIN, Ordering::SeqCst);
        self.shared.wake_threads();
    }

    /// Whether the threads were asked to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.request.load(Ordering::SeqCst) == DRAIN
    }
}

/// See the file's documentation.
pub struct Supervisor {
    shared: Arc<Shared>,
    leave: bool,
    threads: Vec<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts `count` stream threads.
    ///
    /// # Errors
    ///
    /// When the operating system can't start a thread.
    pub fn start(count: u32, leave: bool, make: Arc<MakeThread>) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            request: AtomicU8::new(RUN),
            reports: Mutex::new(vec![ThreadReport::default(); count as usize]),
            changed: Condvar::new(),
            wakers: Mutex::new(Vec::new()),
        });
        let mut supervisor = Self { shared, leave, threads: Vec::new() };
        supervisor.start_threads(count, &make)?;
        Ok(supervisor)
    }

    fn start_threads(&mut self, count: u32, make: &Arc<MakeThread>) -> anyhow::Result<()> {
        for index in 0..count {
            let (shared, make, leave) = (Arc::clone(&self.shared), Arc::clone(make), self.leave);
            let name = format!("StreamThread-{}", index + 1);
            let body = move || run_thread(index, leave, &shared, make.as_ref());
            self.threads.push(std::thread::Builder::new().name(name).spawn(body)?);
        }
        Ok(())
    }

    /// Lets every thread commit, close its tasks and leave, and puts as many new threads in their place. They leave because a static
    /// member that comes back with other topics is given the assignment that it had. When a thread fails meanwhile, or a stop is
    /// asked for, no new ones are started.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn replace_threads(&mut self, make: &Arc<MakeThread>) -> anyhow::Result<()> {
        let exchange = |from, to| self.shared.request.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        if exchange(RUN, REPLACE).is_err() {
            return Ok(());
        }
        self.shared.wake_threads();
        let count = self.threads.len() as u32;
        for thread in self.threads.drain(..) {
            // A panic was caught inside and is in the report.
            let _ = thread.join();
        }
        let failed = self.reports().iter().any(|report| report.error.is_some());
        if failed || exchange(REPLACE, RUN).is_err() {
            return Ok(());
        }
        lock(&self.shared.wakers).clear();
        lock(&self.shared.reports).fill(ThreadReport::default());
        self.start_threads(count, make)
    }

    /// What ends the threads.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { shared: Arc::clone(&self.shared) }
    }

    /// What the threads last said.
    #[must_use]
    pub fn reports(&self) -> Vec<ThreadReport> {
        lock(&self.shared.reports).clone()
    }

    /// Waits until a thread reports, a stop is asked for, or `timeout` has passed.
    pub fn wait_for_report(&self, timeout: Duration) {
        let reports = lock(&self.shared.reports);
        drop(self.shared.changed.wait_timeout(reports, timeout).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until all threads have ended, and returns their last reports.
    #[must_use]
    pub fn join(self) -> Vec<ThreadReport> {
        for thread in self.threads {
            // A panic was caught inside and is in the report.
            let _ = thread.join();
        }
        lock(&self.shared.reports).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run_thread(index: u32, leave: bool, shared: &Shared, make: &MakeThread) {
    let outcome = catch_unwind(AssertUnwindSafe(|| drive(index, leave, shared, make)));
    let mut reports = lock(&shared.reports);
    let report = &mut reports[index as usize];
    report.ended = true;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(thread = index, error = %with_causes(&error), "the stream thread has ended");
            report.error = Some(with_causes(&error));
        }
        Err(panic) => {
            let text = panic_text(panic.as_ref());
            tracing::error!(thread = index, panic = %text, "the stream thread has ended by a bug of the host, please report it");
            report.error = Some(format!("internal error: {text}"));
            report.panicked = true;
        }
    }
    drop(reports);
    shared.changed.notify_all();
}

fn drive(index: u32, leave: bool, shared: &Shared, make: &MakeThread) -> anyhow::Result<()> {
    let (mut thread, waker) = make(index)?;
    lock(&shared.wakers).push(waker);
    let mut last_report = Instant::now();
    let mut rounds = 0;
    while shared.request.load(Ordering::SeqCst) == RUN {
        let round = match thread.run_once() {
            Ok(round) => round,
            Err(error) => {
                thread.close_dirty(leave);
                return Err(error.into());
            }
        };
        rounds += 1;
        let idle = round.records == 0;
        if idle || last_report.elapsed() >= REPORT_INTERVAL {
            last_report = Instant::now();
            report(index, rounds, &thread, shared);
        }
    }
    tracing::info!(thread = thread.name(), "draining: commits and closes its tasks");
    let closed = thread.close(leave || shared.request.load(Ordering::SeqCst) == REPLACE);
    report(index, rounds, &thread, shared);
    Ok(closed?)
}

fn report(index: u32, rounds: u64, thread: &StreamThread, shared: &Shared) {
    let mut reports = lock(&shared.reports);
    let report = &mut reports[index as usize];
    let (totals, caught_up, failed_tasks) = (thread.totals(), thread.is_caught_up(), thread.failed_tasks());
    // An idle process wakes nobody ten times a second to say that nothing happened.
    let have_failed = report.failed_tasks.len() != failed_tasks.len();
    let is_news = have_failed || report.totals != totals || report.caught_up != caught_up;
    report.totals = totals;
    report.rounds = rounds;
    report.caught_up = caught_up;
    if have_failed {
        report.failed_tasks = failed_tasks.clone();
    }
    drop(reports);
    if is_news {
        shared.changed.notify_all();
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
