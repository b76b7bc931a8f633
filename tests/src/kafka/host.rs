//! The program `millstream` as a child process: started, killed, frozen, asked to end, and listened to.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use super::{PATIENCE, eventually};

/// How much of a log is shown when a test fails.
const SHOWN_LINES_MAX: usize = 60;

/// A running program. Dropping it kills it; when the test is failing, its log is shown.
#[derive(Debug)]
pub struct Host {
    child: Child,
    log: PathBuf,
    /// When it was started.
    pub started: Instant,
}

/// The path of a program of the workspace: `millstream`, or one that lies beside it.
///
/// # Panics
///
/// When neither `MILLSTREAM` nor the test's own path says where it is.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os("MILLSTREAM") {
        return Path::new(&path).with_file_name(name);
    }
    // The test runs in <target>/release/deps.
    let test = std::env::current_exe().expect("a test has a path");
    let release = test.ancestors().nth(2).expect("a test is deep enough");
    let path = release.join(name);
    assert!(
        path.exists(),
        "{} is not there: run `make build`, or set MILLSTREAM to the program's path",
        path.display()
    );
    path
}

impl Host {
    /// Starts `millstream` with `arguments`, its log lines as JSON in `log`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, log: &Path) -> Self {
        let file = File::create(log).expect("a log file");
        let mut command = Command::new(program("millstream"));
        command.args(["--log-format", "json"]).args(arguments).stdin(std::process::Stdio::null());
        command.stdout(file.try_clone().expect("a log file")).stderr(file);
        let started = Instant::now();
        let child = command.spawn().expect("the program starts");
        Self { child, log: log.to_owned(), started }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    ///
    /// # Panics
    ///
    /// When it had ended before: it was to be killed in the middle of its work.
    pub fn kill(&mut self) {
        self.assert_running();
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Sends a signal: `TERM`, `STOP`, `CONT`.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn signal(&mut self, name: &str) {
        self.assert_running();
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.expect("`kill` runs").success(), "SIG{name} can't be sent");
    }

    /// Asks it to end, expects that it does so cleanly, and tells how long that took.
    ///
    /// # Panics
    ///
    /// When its exit code is not 0.
    pub fn stop(mut self) -> Duration {
        let start = Instant::now();
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "the program was asked to end; its log: {}", self.log_text());
        start.elapsed()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the program ends", PATIENCE, || child.try_wait().expect("a child can be asked"))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Fails with its log when it does not run any more.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn assert_running(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "the program has ended by itself: {ended:?}");
    }

    /// User and system time that it has used so far.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        cpu_time_of(self.id())
    }

    /// Everything that it has written.
    #[must_use]
    pub fn log_text(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its log lines.
    #[must_use]
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.log_text().lines().filter_map(LogLine::parse).collect()
    }

    /// Waits for a log line with this message that `pick` takes.
    pub fn await_line<T>(&mut self, message: &str, pick: impl Fn(&LogLine) -> Option<T>) -> T {
        eventually(&format!("log line \"{message}\""), PATIENCE, || {
            let found = self.log_lines().iter().filter(|line| line.message() == message).find_map(&pick);
            if found.is_none() {
                self.assert_running();
            }
            found
        })
    }

    /// The changelog records that it has restored.
    #[must_use]
    pub fn records_restored(&self) -> u64 {
        let lines = self.log_lines();
        let restored = lines.iter().filter(|line| line.message() == "restored");
        restored.map(|line| line.number("records").unwrap_or(0)).sum()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.log_text();
            let lines: Vec<&str> = text.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LINES_MAX)..];
            super::report(format_args!("the end of {}:\n{}", self.log.display(), shown.join("\n")));
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of a program's log.
#[derive(Clone, Debug)]
pub struct LogLine(serde_json::Value);

impl LogLine {
    fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok().map(Self)
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text("message").unwrap_or_default()
    }

    /// A field that is text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// A field that is a number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.0.get(field)?.as_u64()
    }

    /// When it was written, in seconds of its day.
    ///
    /// # Panics
    ///
    /// When it has no time.
    #[must_use]
    pub fn seconds_of_day(&self) -> f64 {
        let timestamp = self.text("timestamp").expect("a log line has a time");
        let (_, time) = timestamp.split_once('T').expect("a time is written as RFC 3339 says");
        let mut parts = time.trim_end_matches('Z').split(':').map(|part| part.parse::<f64>().expect("a number"));
        let mut next = || parts.next().expect("hours, minutes, seconds");
        next() * 3600.0 + next() * 60.0 + next()
    }
}

/// User and system time that a process has used so far.
///
/// # Panics
///
/// When there is no such process.
#[must_use]
pub fn cpu_time_of(process: u32) -> Duration {
    /// Linux counts in hundredths of a second for everybody who asks through /proc.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process lives");
    // The name is in parentheses and may contain anything; user and system time are the 12th and 13th field behind it.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks")).sum();
    Duration::from_secs_f64(ticks / TICKS_A_SECOND)
}
