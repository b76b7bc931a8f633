//! How records are printed: as the JSON lines that [`super::json_lines`] reads, with readable views of binary fields.
//!
//! `auto`, `string` of valid text, and `base64` are read back to the same bytes. The other views are for the eye: a
//! number is read back as its digits.

use std::io::Write as _;
use std::str::FromStr;

use base64::Engine as _;
use serde::de::IgnoredAny;

use millstream_core::id::TopicName;
use millstream_core::record::Record;

use super::json_lines::{BASE64, compact};

/// How the bytes of a field are shown. Bytes that are not of the form named are shown as `auto` shows them, so that a
/// view never hides or stops anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A string when they are UTF-8, `{"base64":".."}` otherwise.
    #[default]
    Auto,
    /// A string; what is not UTF-8 is replaced by U+FFFD, as Java's `StringDeserializer` does.
    String,
    /// A number: 8 bytes, big-endian.
    Long,
    /// A number: 4 bytes, big-endian.
    Integer,
    /// A number: 8 bytes, IEEE 754, big-endian. `NaN` and the infinities, which JSON has no number for, are strings.
    Double,
    /// The JSON value that they are the text of.
    Json,
    /// `{"base64":".."}`.
    Base64,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "string" => Self::String,
            "long" => Self::Long,
            "integer" => Self::Integer,
            "double" => Self::Double,
            "json" => Self::Json,
            "base64" => Self::Base64,
            _ => {
                return Err(format!(
                    "there is no format `{text}`; use auto, string, long, integer, double, json or base64"
                ));
            }
        })
    }
}

/// A part of a record that has a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The key.
    Key,
    /// The value.
    Value,
    /// The values of the headers.
    Headers,
}

/// One `--format`: `FORMAT` for all values, `FIELD=FORMAT` for a field (`key`, `value`, `headers`) of all topics, or
/// `TOPIC:FIELD=FORMAT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatRule {
    /// The topic; `None` for all.
    pub topic: Option<TopicName>,
    /// The field.
    pub field: Field,
    /// Its format.
    pub format: Format,
}

impl FromStr for FormatRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((place, format)) = text.split_once('=') else {
            return Ok(Self { topic: None, field: Field::Value, format: text.parse()? });
        };
        let (topic, field) = match place.split_once(':') {
            Some((topic, field)) => (Some(topic), field),
            None => (None, place),
        };
        if topic == Some("") {
            return Err(format!("`{text}` names no topic; use TOPIC:FIELD=FORMAT"));
        }
        let field = match field {
            "key" => Field::Key,
            "value" => Field::Value,
            "headers" => Field::Headers,
            _ => return Err(format!("there is no field `{field}`; use key, value or headers")),
        };
        Ok(Self { topic: topic.map(TopicName::from), field, format: format.parse()? })
    }
}

/// The formats of one topic's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordView {
    /// How keys are shown.
    pub key: Format,
    /// How values are shown.
    pub value: Format,
    /// How the values of headers are shown.
    pub headers: Format,
}

impl RecordView {
    /// The view of `topic` under `rules`. A rule that names the topic goes before one for all; among equals the later
    /// one counts.
    #[must_use]
    pub fn of(topic: &TopicName, rules: &[FormatRule]) -> Self {
        let mut view = Self::default();
        let general = rules.iter().filter(|rule| rule.topic.is_none());
        let special = rules.iter().filter(|rule| rule.topic.as_ref() == Some(topic));
        for rule in general.chain(special) {
            let field = match rule.field {
                Field::Key => &mut view.key,
                Field::Value => &mut view.value,
                Field::Headers => &mut view.headers,
            };
            *field = rule.format;
        }
        view
    }

    /// Appends `record` as one line, with its newline. Headers are written as `[name, value]` pairs, and left out
    /// when there are none.
    pub fn write_line(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"key\":");
        write_bytes(record.key, self.key, out);
        out.extend_from_slice(b",\"value\":");
        write_bytes(record.value, self.value, out);
        write_display(format_args!(",\"timestamp\":{}", record.timestamp), out);
        let mut separator = &b",\"headers\":["[..];
        for (name, value) in record.headers.iter() {
            out.extend_from_slice(separator);
            separator = b",";
            out.push(b'[');
            write_text(&String::from_utf8_lossy(name), out);
            out.push(b',');
            write_bytes(value, self.headers, out);
            out.push(b']');
        }
        if !record.headers.is_empty() {
            out.push(b']');
        }
        out.extend_from_slice(b"}\n");
    }
}

fn write_bytes(bytes: Option<&[u8]>, format: Format, out: &mut Vec<u8>) {
    let Some(bytes) = bytes else { return out.extend_from_slice(b"null") };
    let is_written = match format {
        Format::Auto => false,
        Format::String => {
            write_text(&String::from_utf8_lossy(bytes), out);
            true
        }
        Format::Long => write_number(bytes, i64::from_be_bytes, out),
        Format::Integer => write_number(bytes, i32::from_be_bytes, out),
        Format::Double => write_double(bytes, out),
        Format::Json => write_json(bytes, out),
        Format::Base64 => {
            write_base64(bytes, out);
            true
        }
    };
    if is_written {
        return;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => write_text(text, out),
        Err(_) => write_base64(bytes, out),
    }
}

fn write_number<const N: usize, T: std::fmt::Display>(
    bytes: &[u8],
    number: fn([u8; N]) -> T,
    out: &mut Vec<u8>,
) -> bool {
    let Ok(bytes) = bytes.try_into() else { return false };
    write_display(format_args!("{}", number(bytes)), out);
    true
}

fn write_double(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(bytes) = bytes.try_into() else { return false };
    let number = f64::from_be_bytes(bytes);
    match number {
        f64::INFINITY => write_text("Infinity", out),
        f64::NEG_INFINITY => write_text("-Infinity", out),
        _ if number.is_nan() => write_text("NaN", out),
        _ => write_display(format_args!("{number:?}"), out),
    }
    true
}

fn write_json(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let is_json = std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    if is_json {
        out.extend_from_slice(&compact(bytes));
    }
    is_json
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"base64\":\"");
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.extend_from_slice(b"\"}");
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // Text into memory: neither can fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_display(text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Memory: it can't fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use millstream_core::record::{Headers, RecordBatch, pack_header};

    use super::*;
    use crate::dev::json_lines::parse_line;

    fn shown(bytes: &[u8], format: Format) -> String {
        let mut out = Vec::new();
        write_bytes(Some(bytes), format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_format_shows_its_bytes_and_falls_back_to_auto() {
        let cases: [(Format, &[u8], &str); 20] = [
            (Format::Auto, b"a\"\n", r#""a\"\n""#),
            (Format::Auto, b"", r#""""#),
            (Format::Auto, &[0xff], r#"{"base64":"/w=="}"#),
            (Format::String, &[b'a', 0xff], "\"a\u{fffd}\""),
            (Format::Long, &(-5_i64).to_be_bytes(), "-5"),
            (Format::Long, b"7", r#""7""#),
            (Format::Long, &[0xff; 4], r#"{"base64":"/////w=="}"#),
            (Format::Integer, &7_i32.to_be_bytes(), "7"),
            (Format::Integer, &7_i64.to_be_bytes(), "\"\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0007\""),
            (Format::Double, &1.0_f64.to_be_bytes(), "1.0"),
            (Format::Double, &1e300_f64.to_be_bytes(), "1e300"),
            (Format::Double, &f64::NAN.to_be_bytes(), r#""NaN""#),
            (Format::Double, &f64::INFINITY.to_be_bytes(), r#""Infinity""#),
            (Format::Double, &f64::NEG_INFINITY.to_be_bytes(), r#""-Infinity""#),
            (Format::Json, b"{ \"a\" : [ 1.10 , \" \" ] }\n", r#"{"a":[1.10," "]}"#),
            (Format::Json, b"{", r#""{""#),
            (Format::Json, b"1 2", r#""1 2""#),
            (Format::Json, b"\"\xff\"", r#"{"base64":"Iv8i"}"#),
            (Format::Base64, b"a", r#"{"base64":"YQ=="}"#),
            (Format::Base64, b"", r#"{"base64":""}"#),
        ];
        for (format, bytes, expected) in cases {
            assert_eq!(shown(bytes, format), expected, "{format:?} of {bytes:?}");
        }
    }

    #[test]
    fn a_printed_line_is_read_back_to_the_same_record() {
        let mut packed = Vec::new();
        pack_header(&mut packed, b"h", Some(&[0, 0xff]));
        pack_header(&mut packed, "é".as_bytes(), None);
        pack_header(&mut packed, b"h", Some(b"{\"base64\":\"AA==\"}"));
        let mut batch = RecordBatch::new();
        for (key, value, headers) in [
            (None, None, Headers::EMPTY),
            (Some(&b""[..]), Some(&b"{\"base64\":\"AA==\"}"[..]), Headers::from_packed(&packed)),
            (Some(&[0xc3, 0x28]), Some("\u{2028}\u{1f600}".as_bytes()), Headers::EMPTY),
        ] {
            batch.push(Record { key, value, timestamp: 3, headers }, 0);
        }
        for format in [Format::Auto, Format::Base64] {
            let view = RecordView { key: format, value: format, headers: format };
            let mut out = Vec::new();
            batch.iter().for_each(|record| view.write_line(&record, &mut out));
            let mut copy = RecordBatch::new();
            for line in out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                parse_line(line, -7, &mut copy).unwrap();
            }
            assert_eq!(copy, batch, "{}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn a_rule_for_a_topic_goes_before_one_for_all() {
        let rules: Vec<FormatRule> =
            ["long", "key=base64", "counts:value=double", "value=json", "counts:headers=long", "other:key=long"]
                .iter()
                .map(|rule| rule.parse().unwrap())
                .collect();
        let view = RecordView::of(&TopicName::from("counts"), &rules);
        assert_eq!(view, RecordView { key: Format::Base64, value: Format::Double, headers: Format::Long });
        assert_eq!(RecordView::of(&TopicName::from("x"), &rules).value, Format::Json);
        for (wrong, expected) in [
            ("int", "there is no format `int`; use auto"),
            ("val=long", "there is no field `val`; use key"),
            (":key=long", "names no topic"),
            ("t:key=", "there is no format ``"),
        ] {
            let error = wrong.parse::<FormatRule>().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
