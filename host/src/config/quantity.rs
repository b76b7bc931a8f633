//! Numbers with units: durations and sizes, as they are written in a manifest.

use std::time::Duration;

/// Units of durations, smallest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of sizes, smallest first, in bytes.
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads a duration such as `100ms`, `30s`, `5m`, `1h`, `2d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads a size such as `512B`, `64KiB`, `64MiB`, `1GiB`.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZE_UNITS)
}

/// Writes a duration with the largest unit that divides it.
pub fn show_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 { "0ms".into() } else { show(milliseconds, &DURATION_UNITS) }
}

/// Writes a size with the largest unit that divides it.
pub fn show_size(bytes: u64) -> String {
    if bytes == 0 { "0B".into() } else { show(bytes, &SIZE_UNITS) }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(number: u64, units: &[(&str, u64)]) -> String {
    let (unit, factor) = units.iter().rev().find(|(_, factor)| number.is_multiple_of(*factor)).unwrap_or(&units[0]);
    format!("{}{unit}", number / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_units_only() {
        let milliseconds = [("100ms", 100), ("30s", 30_000), ("5m", 300_000), ("0s", 0), ("1d", 86_400_000)];
        for (text, expected) in milliseconds {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(expected)), "{text}");
        }
        for (text, expected) in [("0B", 0), ("64KiB", 65_536), ("64MiB", 1 << 26), ("1GiB", 1 << 30)] {
            assert_eq!(parse_size(text), Some(expected), "{text}");
        }
        for wrong in ["", "100", "s", "1.5s", "-1s", "1 s", "1S", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        for wrong in ["64MB", "64", "MiB", "64mib", "20000000000GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn they_are_shown_as_they_would_be_written() {
        for text in ["100ms", "30s", "5m", "36h", "2d", "0ms"] {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Some(text));
        }
        for text in ["0B", "100B", "64KiB", "1GiB"] {
            assert_eq!(parse_size(text).map(show_size).as_deref(), Some(text));
        }
    }
}
