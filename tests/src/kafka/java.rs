//! Kafka's own Java programs, and those of tests/kafka/java.

use super::broker::script;

/// Runs a Java program and returns the lines that it prints.
///
/// # Panics
///
/// When it fails.
#[must_use]
pub fn lines_of(class: &str, arguments: &[&str]) -> Vec<String> {
    let output = script("java.sh").arg(class).args(arguments).output().expect("a shell runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{class} failed: {complaint}");
    String::from_utf8(output.stdout).expect("it prints text").lines().map(str::to_owned).collect()
}

/// Bytes in hexadecimal, as the Java programs print them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
