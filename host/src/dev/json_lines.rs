//! Records as lines of JSON: `{"key":..,"value":..,"timestamp":..,"headers":..}`, one record a line.
//!
//! | member | missing or null | otherwise |
//! |---|---|---|
//! | `key`, `value` | null | bytes, see below |
//! | `timestamp` | the time given by the caller | whole milliseconds since the epoch, 0 or more |
//! | `headers` | none | an object of names and bytes, or an array of `[name, bytes]` pairs |
//!
//! The order of headers, repeated names and null values are kept. Bytes are given as
//! - a string: its UTF-8 bytes;
//! - `{"base64":"AAEC"}`, an object with this one member and a string in it: the decoded bytes (standard alphabet,
//!   padding may be left out);
//! - any other object, array, number or boolean: its own text without the white space between its parts, so that
//!   `"value":{"a": 1}` is the value `{"a":1}`. Numbers and the order of members stay as they are written.
//!
//! An object of one's own that has nothing but a string named `base64` is given as a string:
//! `"value":"{\"base64\":\"AAEC\"}"`. A member of another name, or one that occurs twice, is an error, since a
//! misspelt name would otherwise be a null.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeOwned, IgnoredAny};

use millstream_core::id::Timestamp;
use millstream_core::record::{Headers, Record, RecordBatch, pack_header};

/// Reads the standard alphabet with or without padding, and writes it with padding.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is wrong with a line, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The byte of the line where it was noticed, counted from 1.
    pub column: usize,
    /// The reason, a lower-case fragment.
    pub reason: String,
}

type LineResult<T> = Result<T, LineError>;

const MEMBERS: &str = "`key`, `value`, `timestamp` or `headers`";

/// Appends the record of `line` to `batch`, with `now` for a missing timestamp. Nothing is appended on an error.
///
/// # Errors
///
/// [`LineError`] when the line is not a record in the form above.
pub fn parse_line(line: &[u8], now: Timestamp, batch: &mut RecordBatch) -> LineResult<()> {
    if let Err(error) = std::str::from_utf8(line) {
        return Err(fault(
            error.valid_up_to(),
            "this is not UTF-8; give bytes that are no text as {\"base64\":\"...\"}",
        ));
    }
    let mut key = Member::default();
    let mut value = Member::default();
    let mut timestamp = Member::default();
    let mut headers = Member::default();
    let mut scanner = Scanner { line, at: 0 };
    scanner.object(&mut |at, name, raw| {
        let member = match name {
            "key" => &mut key,
            "value" => &mut value,
            "timestamp" => &mut timestamp,
            "headers" => &mut headers,
            _ => return Err(fault(at, format!("there is no member `{name}`; expected {MEMBERS}"))),
        };
        if member.is_there {
            return Err(fault(at, format!("member `{name}` occurs twice; give it once")));
        }
        *member = Member { is_there: true, raw };
        Ok(())
    })?;
    scanner.end()?;

    let key = key.bytes()?;
    let value = value.bytes()?;
    let timestamp = timestamp.timestamp()?.unwrap_or(now);
    let packed = headers.headers()?;
    let headers = Headers::from_packed(&packed);
    batch.push(Record { key: key.as_deref(), value: value.as_deref(), timestamp, headers }, 0);
    Ok(())
}

fn fault(at: usize, reason: impl Into<String>) -> LineError {
    LineError { column: at + 1, reason: reason.into() }
}

/// A value as it stands in the line, from its first byte to its last.
#[derive(Clone, Copy, Default)]
struct Raw<'a> {
    text: &'a [u8],
    /// Where it begins in the line.
    at: usize,
}

#[derive(Clone, Copy, Default)]
struct Member<'a> {
    is_there: bool,
    raw: Raw<'a>,
}

impl Member<'_> {
    fn is_null(&self) -> bool {
        !self.is_there || self.raw.text == b"null"
    }

    fn bytes(&self) -> LineResult<Option<Vec<u8>>> {
        if self.is_there { self.raw.bytes() } else { Ok(None) }
    }

    fn timestamp(&self) -> LineResult<Option<Timestamp>> {
        if self.is_null() {
            return Ok(None);
        }
        let number = serde_json::from_slice(self.raw.text).ok().filter(|number: &Timestamp| *number >= 0);
        let expected = "`timestamp` must be whole milliseconds since the epoch, 0 or more";
        number.map(Some).ok_or_else(|| fault(self.raw.at, expected))
    }

    /// The headers in packed form.
    fn headers(&self) -> LineResult<Vec<u8>> {
        let mut packed = Vec::new();
        let Raw { text, at } = self.raw;
        if self.is_null() {
            return Ok(packed);
        }
        let mut scanner = Scanner { line: text, at: 0 };
        match text.first() {
            Some(b'{') => scanner.object(&mut |_, name, raw| {
                pack_header(&mut packed, name.as_bytes(), raw.bytes()?.as_deref());
                Ok(())
            }),
            Some(b'[') => scanner.array(&mut |raw| {
                let (name, value) = raw.pair()?;
                pack_header(&mut packed, name.as_bytes(), value.as_deref());
                Ok(())
            }),
            _ => Err(fault(0, "`headers` must be an object, or an array of [name, value] pairs")),
        }
        .map_err(|error| LineError { column: error.column + at, ..error })?;
        Ok(packed)
    }
}

impl Raw<'_> {
    /// The bytes that the value stands for; `None` for null.
    fn bytes(&self) -> LineResult<Option<Vec<u8>>> {
        match self.text.first() {
            Some(b'n') => Ok(None),
            Some(b'"') => Ok(Some(self.read::<String>()?.into_bytes())),
            Some(b'{') => self.object_bytes().map(Some),
            _ => Ok(Some(compact(self.text))),
        }
    }

    fn object_bytes(&self) -> LineResult<Vec<u8>> {
        let mut members = 0;
        let mut encoded = None;
        Scanner { line: self.text, at: 0 }.object(&mut |_, name, raw| {
            members += 1;
            if name == "base64" && raw.text.first() == Some(&b'"') {
                encoded = Some(raw.read::<String>()?);
            }
            Ok(())
        })?;
        let Some(encoded) = encoded.filter(|_| members == 1) else { return Ok(compact(self.text)) };
        let decoded = BASE64.decode(encoded);
        decoded.map_err(|error| fault(self.at, format!("`base64` can't be decoded ({error}); give standard base64")))
    }

    /// The name and value of a header given as a pair.
    fn pair(&self) -> LineResult<(String, Option<Vec<u8>>)> {
        let wrong = || fault(self.at, "a header must be a pair [name, value] whose name is a string");
        if self.text.first() != Some(&b'[') {
            return Err(wrong());
        }
        let mut parts = Vec::new();
        let mut scanner = Scanner { line: self.text, at: 0 };
        let shifted = |error: LineError| LineError { column: error.column + self.at, ..error };
        scanner
            .array(&mut |raw| {
                parts.push(raw);
                Ok(())
            })
            .map_err(shifted)?;
        let [name, value] = parts[..] else { return Err(wrong()) };
        if name.text.first() != Some(&b'"') {
            return Err(wrong());
        }
        Ok((name.read()?, value.bytes().map_err(shifted)?))
    }

    fn read<T: DeserializeOwned>(&self) -> LineResult<T> {
        serde_json::from_slice(self.text).map_err(|error| fault(self.at, plain(&error)))
    }
}

/// Walks over one line without building values, so that their text is kept as it was written.
struct Scanner<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Reads an object and hands out its members: where each begins, its name and its value.
    fn object(&mut self, on_member: &mut dyn FnMut(usize, &str, Raw<'a>) -> LineResult<()>) -> LineResult<()> {
        self.expect(b'{', "a record must be a JSON object, such as {\"key\":\"a\",\"value\":\"b\"}")?;
        if self.skip(b'}') {
            return Ok(());
        }
        loop {
            let name = self.value()?;
            if name.text.first() != Some(&b'"') {
                return Err(fault(name.at, "a member's name must be a string"));
            }
            self.expect(b':', "expected `:` after a member's name")?;
            let value = self.value()?;
            on_member(name.at, &name.read::<String>()?, value)?;
            if self.skip(b'}') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `}` after a member")?;
        }
    }

    /// Reads an array and hands out its elements.
    fn array(&mut self, on_element: &mut dyn FnMut(Raw<'a>) -> LineResult<()>) -> LineResult<()> {
        self.expect(b'[', "expected an array")?;
        if self.skip(b']') {
            return Ok(());
        }
        loop {
            let element = self.value()?;
            on_element(element)?;
            if self.skip(b']') {
                return Ok(());
            }
            self.expect(b',', "expected `,` or `]` after an element")?;
        }
    }

    fn value(&mut self) -> LineResult<Raw<'a>> {
        self.skip_space();
        let rest = &self.line[self.at..];
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                let raw = Raw { text: &rest[..values.byte_offset()], at: self.at };
                self.at += raw.text.len();
                Ok(raw)
            }
            Some(Err(error)) => {
                let column = self.at + error.column().saturating_sub(1);
                Err(fault(column.min(self.line.len()), plain(&error)))
            }
            None => Err(fault(self.at, "the line ends within a record; expected a value")),
        }
    }

    /// Nothing may follow the record.
    fn end(&mut self) -> LineResult<()> {
        self.skip_space();
        if self.at == self.line.len() {
            return Ok(());
        }
        Err(fault(self.at, "something follows the record; put one record on a line"))
    }

    fn expect(&mut self, byte: u8, reason: &str) -> LineResult<()> {
        if self.skip(byte) { Ok(()) } else { Err(fault(self.at, reason)) }
    }

    fn skip(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_there = self.line.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn skip_space(&mut self) {
        let rest = &self.line[self.at..];
        self.at += rest.iter().take_while(|byte| is_space(**byte)).count();
    }
}

/// The message of serde without its position, which counts from the value instead of the line.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = message.rfind(" at line ").unwrap_or(message.len());
    format!("this is not JSON: {}", &message[..position])
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The text of a JSON value without the white space between its parts.
pub(crate) fn compact(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut is_in_string = false;
    let mut is_escaped = false;
    for byte in text {
        if is_in_string {
            is_in_string = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
        } else if is_space(*byte) {
            continue;
        } else {
            is_in_string = *byte == b'"';
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 42;

    fn parse(line: &str) -> LineResult<RecordBatch> {
        let mut batch = RecordBatch::new();
        parse_line(line.as_bytes(), NOW, &mut batch)?;
        assert_eq!(batch.len(), 1);
        Ok(batch)
    }

    fn value_of(text: &str) -> Option<Vec<u8>> {
        let batch = parse(&format!("{{\"value\":{text}}}")).unwrap();
        batch.value(0).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_line_is_a_record_and_what_is_missing_is_null_or_now() {
        let batch = parse(r#" { "value" : "b" , "key":"a", "timestamp": 7 } "#).unwrap();
        let record = Record { key: Some(b"a"), value: Some(b"b"), timestamp: 7, headers: Headers::EMPTY };
        assert_eq!(batch.record(0), record);
        for line in ["{}", r#"{"key":null,"value":null,"timestamp":null,"headers":null}"#] {
            let nothing = Record { key: None, value: None, timestamp: NOW, headers: Headers::EMPTY };
            assert_eq!(parse(line).unwrap().record(0), nothing, "{line}");
        }
    }

    #[test]
    fn values_are_bytes_in_the_form_in_which_they_are_given() {
        let cases: [(&str, Option<&[u8]>); 14] = [
            (r#""""#, Some(b"")),
            (r#""a\n\u00e9""#, Some("a\né".as_bytes())),
            (r#"{"base64":"AAH/"}"#, Some(&[0, 1, 255])),
            (r#"{ "base64" : "AAE" }"#, Some(&[0, 1])),
            (r#"{"base64":"AAE="}"#, Some(&[0, 1])),
            (r#"{"base64":5}"#, Some(br#"{"base64":5}"#)),
            (r#"{"base64":"AAE=","more":1}"#, Some(br#"{"base64":"AAE=","more":1}"#)),
            (r#""{\"base64\":\"AAE=\"}""#, Some(br#"{"base64":"AAE="}"#)),
            (r#"{ "z": [1, 2.50,  1e3 ], "a": " b \" c " }"#, Some(br#"{"z":[1,2.50,1e3],"a":" b \" c "}"#)),
            ("12345678901234567890123", Some(b"12345678901234567890123")),
            ("-0.10", Some(b"-0.10")),
            ("true", Some(b"true")),
            ("[]", Some(b"[]")),
            ("null", None),
        ];
        for (text, expected) in cases {
            assert_eq!(value_of(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn headers_keep_order_repeats_and_nulls_in_both_forms() {
        let expected = [(&b"b"[..], Some(&b"1"[..])), (b"a", None), (b"b", Some(&[0])), (b"c", Some(b"{}"))];
        let object = r#"{"headers":{"b":"1","a":null,"b":{"base64":"AA=="},"c":{ }}}"#;
        let array = r#"{"headers":[["b","1"],["a",null], ["b",{"base64":"AA=="}],["c",{}]]}"#;
        for line in [object, array] {
            let batch = parse(line).unwrap();
            assert_eq!(batch.headers(0).iter().collect::<Vec<_>>(), expected, "{line}");
        }
        assert!(parse(r#"{"headers":[]}"#).unwrap().headers(0).is_empty());
    }

    #[test]
    fn a_wrong_line_says_where_and_what_was_expected() {
        let cases = [
            ("", 1, "a record must be a JSON object"),
            ("hello", 1, "a record must be a JSON object"),
            (r#"{"vlaue":1}"#, 2, "there is no member `vlaue`; expected `key`, `value`"),
            (r#"{"key":1,"key":2}"#, 10, "`key` occurs twice"),
            (r#"{"key":1"#, 9, "expected `,` or `}`"),
            (r#"{"key":"#, 8, "the line ends"),
            (r#"{"key" 1}"#, 8, "expected `:`"),
            (r#"{key:1}"#, 2, "this is not JSON"),
            (r#"{"key":tru}"#, 11, "this is not JSON"),
            (r#"{"key":"\ud800"}"#, 8, "this is not JSON"),
            (r#"{"key":1} {}"#, 11, "something follows the record"),
            (r#"{"key":{"base64":"*"}}"#, 8, "`base64` can't be decoded"),
            (r#"{"timestamp":-1}"#, 14, "`timestamp` must be whole milliseconds"),
            (r#"{"timestamp":1.5}"#, 14, "`timestamp` must be whole milliseconds"),
            (r#"{"timestamp":"2024"}"#, 14, "`timestamp` must be whole milliseconds"),
            (r#"{"headers":1}"#, 12, "`headers` must be an object"),
            (r#"{"headers":[["a"]]}"#, 13, "a header must be a pair"),
            (r#"{"headers":[[1,2]]}"#, 13, "a header must be a pair"),
            (r#"{"headers":[1]}"#, 13, "a header must be a pair"),
        ];
        for (line, column, expected) in cases {
            let error = parse(line).unwrap_err();
            assert!(error.reason.contains(expected), "{line}: {}", error.reason);
            assert_eq!(error.column, column, "{line}: {}", error.reason);
        }
        let error = parse_line(b"{\"key\":\"\xff\"}", NOW, &mut RecordBatch::new()).unwrap_err();
        assert!(error.reason.contains("not UTF-8") && error.column == 9, "{error:?}");
    }
}
