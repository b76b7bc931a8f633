//! Keys and values as cases write them, and the bytes that they stand for.

use base64::Engine as _;
use serde_json::Value as Json;

use super::node::{Kind, Member, Node};
use crate::dev::json_lines::BASE64;

/// In which form bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTF-8.
    Text,
    /// 8 bytes, big-endian.
    Long,
    /// 4 bytes, big-endian.
    Integer,
    /// 8 bytes, IEEE 754, big-endian.
    Double,
    /// The text of JSON.
    Json,
    /// Any bytes.
    Base64,
}

/// What a key or value is, or is expected to be.
#[derive(Clone, Debug)]
pub enum Expected {
    /// There is none.
    Null,
    /// These bytes; the form is that in which they were written.
    Bytes(Vec<u8>, Form),
    /// This JSON; the text is what a record is given.
    Json(Json, String),
    /// Whatever it is.
    Any,
    /// UTF-8 with this in it.
    Contains(String),
}

/// JSON is the same whatever the white space and the order of members.
impl PartialEq for Expected {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Any, Self::Any) => true,
            (Self::Bytes(one, form), Self::Bytes(two, other)) => one == two && form == other,
            (Self::Json(one, _), Self::Json(two, _)) => one == two,
            (Self::Contains(one), Self::Contains(two)) => one == two,
            _ => false,
        }
    }
}

/// The one member that says a form; any other table is JSON.
const FORMS: [&str; 8] = ["text", "long", "integer", "double", "json", "base64", "any", "contains"];

impl Expected {
    /// Reads a value. The error says what was expected.
    pub fn read(node: &Node) -> Result<Self, String> {
        match &node.kind {
            Kind::Null => Ok(Self::Null),
            Kind::Text(text) => Ok(Self::Bytes(text.clone().into_bytes(), Form::Text)),
            Kind::Table(members) => match &members[..] {
                [member] if FORMS.contains(&member.name.as_str()) => read_form(member),
                _ => Ok(json(node)),
            },
            Kind::Number(number) if serde_json::from_str::<Json>(number).is_err() => {
                Err(format!("JSON has no number {number}; write {{double: ..}} for the bytes of a double"))
            }
            Kind::Flag(_) | Kind::Number(_) | Kind::List(_) => Ok(json(node)),
        }
    }

    /// What a case would say of bytes that came out: in the form that is given, or in the likely one where they are not of that
    /// one or the syntax has no way to write them so.
    pub fn of(bytes: Option<&[u8]>, form: Option<Form>, syntax: Syntax) -> Self {
        let Some(bytes) = bytes else { return Self::Null };
        let forms = form.into_iter().chain([likely_form(bytes), Form::Text]);
        let read = |form| {
            let node = super::read_value(&syntax.in_form(bytes, form)?, syntax)?;
            Self::read(&node).ok().filter(|read| read.matches(Some(bytes)))
        };
        forms.filter_map(read).next().unwrap_or_else(|| Self::Bytes(bytes.to_vec(), Form::Base64))
    }

    /// As a case writes it.
    pub fn written(&self, syntax: Syntax) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bytes(bytes, form) => syntax.bytes(bytes, *form),
            Self::Json(_, text) => syntax.bytes(text.as_bytes(), Form::Json),
            Self::Any => syntax.table(&[("any", "true".to_owned())]),
            Self::Contains(part) => syntax.table(&[("contains", syntax.text(part))]),
        }
    }

    /// The bytes, for a record that is written; an error where there are several possibilities.
    pub fn bytes(&self) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Null => Ok(None),
            Self::Bytes(bytes, _) => Ok(Some(bytes.clone())),
            Self::Json(_, text) => Ok(Some(text.clone().into_bytes())),
            Self::Any | Self::Contains(_) => Err("`any` and `contains` can only be expected, not written".to_owned()),
        }
    }

    /// Whether `found` is what is expected.
    pub fn matches(&self, found: Option<&[u8]>) -> bool {
        match (self, found) {
            (Self::Any, _) => true,
            (Self::Null, found) => found.is_none(),
            (_, None) => false,
            (Self::Bytes(bytes, _), Some(found)) => bytes == found,
            (Self::Json(json, _), Some(found)) => {
                serde_json::from_slice::<Json>(found).is_ok_and(|found| is_same(json, &found))
            }
            (Self::Contains(part), Some(found)) => {
                std::str::from_utf8(found).is_ok_and(|found| found.contains(part.as_str()))
            }
        }
    }

    /// The form in which it is written.
    pub fn form(&self) -> Option<Form> {
        match self {
            Self::Bytes(_, form) => Some(*form),
            Self::Json(..) => Some(Form::Json),
            Self::Null | Self::Any | Self::Contains(_) => None,
        }
    }
}

fn json(node: &Node) -> Expected {
    Expected::Json(node.to_json(), node.to_json_text())
}

fn read_form(member: &Member) -> Result<Expected, String> {
    let Member { name, value, .. } = member;
    let otherwise = |expected: &str| format!("`{name}` must be {expected}, found {}", value.describe());
    let bytes = |bytes: Vec<u8>, form| Ok(Expected::Bytes(bytes, form));
    match (name.as_str(), &value.kind) {
        ("json", _) => Ok(json(value)),
        ("text", Kind::Text(text)) => bytes(text.clone().into_bytes(), Form::Text),
        ("text", _) => Err(otherwise("a text")),
        ("long", _) => {
            let number = value.integer().ok_or_else(|| otherwise("a whole number of 64 bits"))?;
            bytes(number.to_be_bytes().into(), Form::Long)
        }
        ("integer", _) => {
            let number = value.integer().and_then(|number| i32::try_from(number).ok());
            bytes(number.ok_or_else(|| otherwise("a whole number of 32 bits"))?.to_be_bytes().into(), Form::Integer)
        }
        ("double", Kind::Number(text)) => {
            let number: f64 = text.parse().map_err(|_| otherwise("a number"))?;
            bytes(number.to_be_bytes().into(), Form::Double)
        }
        ("double", _) => Err(otherwise("a number")),
        ("base64", Kind::Text(text)) => match BASE64.decode(text) {
            Ok(decoded) => bytes(decoded, Form::Base64),
            Err(error) => Err(format!("`base64` can't be decoded ({error}); give standard base64")),
        },
        ("base64", _) => Err(otherwise("a text")),
        ("any", Kind::Flag(true)) => Ok(Expected::Any),
        ("any", _) => Err(otherwise("true")),
        (_, Kind::Text(part)) => Ok(Expected::Contains(part.clone())),
        _ => Err(otherwise("a text")),
    }
}

/// Whether two JSON values say the same: `1` and `1.0` do.
fn is_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => {
            one == other || !(one.is_i64() && other.is_i64()) && one.as_f64() == other.as_f64()
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let has_same = |(name, member)| other.get(name).is_some_and(|other| is_same(member, other));
            one.len() == other.len() && one.iter().all(has_same)
        }
        _ => one == other,
    }
}

/// The form that suits bytes of which nothing is known.
pub fn likely_form(bytes: &[u8]) -> Form {
    let is_shown = |character: char| !character.is_control() || matches!(character, '\n' | '\t' | '\r');
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(is_shown) => Form::Text,
        _ if bytes.len() == 8 => Form::Long,
        _ => Form::Base64,
    }
}

/// Appends a character; those that move the cursor, that change the direction of what follows, or that some take for the end of a
/// line, as `\uXXXX`.
pub fn push_escaped(text: &mut String, character: char) {
    let is_odd =
        matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    if character.is_control() || is_odd {
        text.push_str(&format!("\\u{:04x}", u32::from(character)));
    } else {
        text.push(character);
    }
}

/// How a table is written: `{a: 1}` or `{a = 1}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

impl Syntax {
    /// What stands between a name and its value.
    pub fn is(self) -> &'static str {
        match self {
            Self::Toml => " = ",
            Self::Yaml => ": ",
        }
    }

    /// A table on one line.
    pub fn table(self, members: &[(&str, String)]) -> String {
        let is = self.is();
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}{is}{value}")).collect();
        match self {
            Self::Toml => format!("{{ {} }}", members.join(", ")),
            Self::Yaml => format!("{{{}}}", members.join(", ")),
        }
    }

    /// A text in quotes, as both languages read it.
    pub fn text(self, text: &str) -> String {
        let json = Json::String(text.to_owned()).to_string();
        let mut quoted = String::with_capacity(json.len());
        json.chars().for_each(|character| push_escaped(&mut quoted, character));
        quoted
    }

    /// A name, in quotes where it needs them.
    pub fn name(self, name: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_bare = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_plain);
        if is_bare && !is_yaml_word(name) { name.to_owned() } else { self.text(name) }
    }

    /// A topic or store in a step.
    pub fn word(self, word: &str) -> String {
        match self {
            Self::Toml => self.text(word),
            Self::Yaml => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic())
                    && word.chars().all(is_plain)
                    && !is_yaml_word(word);
                if is_word { word.to_owned() } else { self.text(word) }
            }
        }
    }

    /// Bytes in a form.
    fn bytes(self, bytes: &[u8], form: Form) -> String {
        self.in_form(bytes, form).or_else(|| self.in_form(bytes, Form::Base64)).unwrap_or_default()
    }

    fn in_form(self, bytes: &[u8], form: Form) -> Option<String> {
        let table = |name: &str, value: String| Some(self.table(&[(name, value)]));
        match form {
            Form::Text => Some(self.text(std::str::from_utf8(bytes).ok()?)),
            Form::Long => table("long", i64::from_be_bytes(bytes.try_into().ok()?).to_string()),
            Form::Integer => table("integer", i32::from_be_bytes(bytes.try_into().ok()?).to_string()),
            Form::Double => table("double", self.double(f64::from_be_bytes(bytes.try_into().ok()?))),
            Form::Json => {
                let text = std::str::from_utf8(bytes).ok()?;
                serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
                // TOML has no null and other rules for numbers: there JSON is kept as text.
                if self == Self::Yaml { table("json", compact(text)) } else { Some(self.text(text)) }
            }
            Form::Base64 => table("base64", format!("\"{}\"", BASE64.encode(bytes))),
        }
    }

    fn double(self, number: f64) -> String {
        let dot = if self == Self::Yaml { "." } else { "" };
        match number {
            f64::INFINITY => format!("{dot}inf"),
            f64::NEG_INFINITY => format!("-{dot}inf"),
            _ if number.is_nan() => format!("{dot}nan"),
            _ => format!("{number:?}"),
        }
    }
}

/// What YAML reads as null or a truth value.
fn is_yaml_word(word: &str) -> bool {
    matches!(word.to_lowercase().as_str(), "null" | "true" | "false")
}

fn compact(text: &str) -> String {
    String::from_utf8(crate::dev::json_lines::compact(text.as_bytes())).unwrap_or_else(|_| text.to_owned())
}
