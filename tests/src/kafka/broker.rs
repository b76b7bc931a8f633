//! A real broker for the tests of one file. It ends, and its directory goes, with the test's process, however that ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::file_of_tests;

/// See the file's documentation.
#[derive(Debug)]
pub struct Broker {
    directory: PathBuf,
    bootstrap: String,
}

impl Broker {
    /// The broker that all tests of a file share: few partitions in Kafka's own topics, no wait for more members.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["--quick"]))
    }

    /// A broker with Kafka's default settings, which all tests of a file share.
    pub fn shared_default() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Starts a broker on a free port; `options` are those of tests/kafka/broker.sh.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("millstream-broker-{process}-{number}"));
        let mut broker = Self { directory, bootstrap: String::new() };
        let process = process.to_string();
        let mut arguments = vec!["--port", "auto", "--wipe-with-process", &process];
        arguments.extend(options);
        broker.bootstrap = broker.call("start", &arguments).trim().to_owned();
        broker
    }

    /// The address for clients.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The address that asks for a user and a password, where the option `--sasl` was given.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn sasl_address(&self) -> String {
        let status = self.call("status", &[]);
        let address = status.lines().find_map(|line| line.strip_prefix("sasl="));
        address.expect("the broker was started with --sasl").to_owned()
    }

    /// The certificate that clients of a broker with the option `--tls` must trust.
    #[must_use]
    pub fn trusted_certificate(&self) -> PathBuf {
        self.directory.join("trusted.pem")
    }

    /// SIGKILL, and up again with the data and the address that it had.
    pub fn kill_and_restart(&self) {
        let process = std::process::id().to_string();
        self.call("restart", &["--hard", "--wipe-with-process", &process]);
    }

    /// Whether the broker has lost the end of a transaction, as Kafka 4.3 may when it is killed between the decision and the markers and a
    /// partition has no leader for a moment afterwards (KAFKA-20734). Such a transaction stays open in its partitions for ever.
    ///
    /// # Panics
    ///
    /// When the broker's log can't be read.
    #[must_use]
    pub fn has_lost_markers(&self) -> bool {
        let log = std::fs::read_to_string(self.directory.join("broker.log")).expect("a broker has a log");
        log.contains("Couldn't find leader endpoint for partitions")
    }

    /// SIGSTOP: connections stay open and nothing answers, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.call("freeze", &[]);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.call("thaw", &[]);
    }

    fn call(&self, command: &str, arguments: &[&str]) -> String {
        let output = script("broker.sh").arg(command).arg("--dir").arg(&self.directory).args(arguments).output();
        let output = output.expect("a shell runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "broker.sh {command} failed: {complaint}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The broker goes with the process in any case.
        let _ = script("broker.sh").arg("wipe").arg("--dir").arg(&self.directory).stdout(Stdio::null()).status();
    }
}

/// A script of tests/kafka.
#[must_use]
pub fn script(name: &str) -> Command {
    let path: &Path = &file_of_tests("kafka").join(name);
    Command::new(path)
}
