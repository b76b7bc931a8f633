//! A child process under observation: what it has used of the machine, as Linux counts it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Linux counts in hundredths of a second for everybody who asks through /proc.
const TICKS_A_SECOND: f64 = 100.0;
/// How long an engine may take to end when it is asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of a log is shown when a process fails.
const SHOWN_LINES_MAX: usize = 25;

/// A running engine. Dropping it kills it.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// When it was started.
    pub started: Instant,
}

impl Process {
    /// Starts `command` on the given cores (as `taskset` takes them), its output in `log`.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub fn start(command: &Command, cores: &str, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", cores]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            value.map(|value| pinned.env(name, value));
        }
        pinned.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let started = Instant::now();
        let child = pinned.spawn().context("can't start `taskset`; run `.ci/install bench`")?;
        Ok(Self { child, log: log.to_owned(), started })
    }

    /// User and system time of the whole process so far, in seconds.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).context("the process has ended")?;
        cpu_seconds_of(&stat).context("/proc/PID/stat is not what it should be")
    }

    /// The resident memory, in bytes: its peak so far (`VmHWM`), and what it is now (`VmRSS`).
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn resident_bytes(&self) -> Result<(u64, u64)> {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("the process has ended")?;
        Ok((status_bytes(&status, "VmHWM:"), status_bytes(&status, "VmRSS:")))
    }

    /// Fails when the process has ended, with the end of its log.
    ///
    /// # Errors
    ///
    /// See above.
    pub fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it has ended ({status}); the end of its log:\n{}", self.log_end());
        }
        Ok(())
    }

    /// What it has written so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of what it has written.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES_MAX)..].join("\n")
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub fn stop(mut self) -> Result<()> {
        self.check_running()?;
        Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().context("can't run `kill`")?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > STOP_TIMEOUT {
                bail!("it does not end within {STOP_TIMEOUT:?} after SIGTERM");
            }
            // Nobody wakes us: it is another process's end.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name is in parentheses and may contain anything; user and system time are the 12th and 13th field behind it.
fn cpu_seconds_of(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Option<Vec<f64>> = fields.split_whitespace().skip(11).take(2).map(|field| field.parse().ok()).collect();
    Some(ticks?.iter().sum::<f64>() / TICKS_A_SECOND)
}

fn status_bytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// How many seconds all cores together have been busy since the machine started.
#[must_use]
pub fn machine_busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    busy_seconds_of(&stat).unwrap_or(0.0)
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal.
fn busy_seconds_of(stat: &str) -> Option<f64> {
    let fields: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0.0)).collect();
    let idle: f64 = fields.get(3..5)?.iter().sum();
    Some((fields.iter().take(8).sum::<f64>() - idle) / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_the_process_is_called() {
        let stat = "123 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_seconds_of(stat), Some(2.0));
        assert_eq!(cpu_seconds_of("nothing"), None);
        assert_eq!(status_bytes("Name:\tx\nVmHWM:\t  2048 kB\n", "VmHWM:"), 2 << 20);
        assert_eq!(busy_seconds_of("cpu  100 0 50 1000 10 0 0 50 0 0\ncpu0 1"), Some(2.0));
    }

    #[test]
    fn a_process_is_measured_and_its_end_is_noticed() {
        let log = std::env::temp_dir().join(format!("millstream-bench-test-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo working; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 60"]);
        let process = Process::start(&command, "0", &log).expect("sh runs");
        while process.cpu_seconds().expect("it runs") < 0.02 {
            std::thread::yield_now();
        }
        let (peak, now) = process.resident_bytes().expect("it runs");
        assert!(peak >= now && now > 0);
        assert_eq!(process.log_text(), "working\n");
        process.stop().expect("sleep ends at SIGTERM");
        command = Command::new("sh");
        command.args(["-c", "echo broken; exit 3"]);
        let mut process = Process::start(&command, "0", &log).expect("sh runs");
        let told = loop {
            if let Err(error) = process.check_running() {
                break error.to_string();
            }
            std::thread::yield_now();
        };
        assert!(told.contains("broken") && told.contains('3'), "{told}");
        let _ = std::fs::remove_file(log);
    }
}
