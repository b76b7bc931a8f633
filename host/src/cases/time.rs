//! Points in time: milliseconds since the epoch, or a date and time in UTC.

use millstream_core::id::Timestamp;

use super::node::{Kind, Node};

/// What a point in time looks like.
pub const EXPECTED: &str = "milliseconds since the epoch, or a time such as \"2026-01-31T12:00:00Z\"";

/// Reads a point in time, 1970 or later.
pub fn read(node: &Node) -> Option<Timestamp> {
    match &node.kind {
        Kind::Number(_) => node.integer().filter(|number| *number >= 0),
        Kind::Text(text) => read_date(text),
        _ => None,
    }
}

/// `2026-01-31T12:00:00Z`, with up to three digits behind a point.
fn read_date(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once(['T', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':')?;
    let is_time = (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second < 60;
    if !is_time || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) || fraction.len() > 3 {
        return None;
    }
    let milliseconds: i64 = format!("{fraction:0<3}").parse().ok()?;
    let days_before: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<i64>()
        + (1..month).map(|month| days_of(year, month)).sum::<i64>();
    let seconds = ((days_before + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1000 + milliseconds)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let parts: Vec<i64> = text
        .split(separator)
        .map(|part| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())))
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_milliseconds_since_the_epoch() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01 00:00:01.5Z", 1_500),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789),
            ("2026-01-31T12:00:00Z", 1_769_860_800_000),
        ] {
            assert_eq!(read_date(text), Some(expected), "{text}");
        }
        for wrong in
            ["2026-01-31", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-31T24:00:00Z", "x", "-1-1-1T0:0:0Z"]
        {
            assert_eq!(read_date(wrong), None, "{wrong}");
        }
    }
}
