//! Case files in TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Kind, Member, Node};
use crate::config::Notes;

/// Reads a document. What is wrong is noted, and then there is no document.
pub fn read(text: &str, notes: &mut Notes<'_>) -> Option<Node> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.mistake(&error.span().unwrap_or(0..0), error.message().lines().collect::<Vec<_>>().join(", "));
    }
    errors.is_empty().then(|| Node { span: 0..text.len(), kind: table(document.get_ref()) })
}

fn table(table: &DeTable<'_>) -> Kind {
    let mut members: Vec<Member> = table
        .iter()
        .map(|(name, value)| Member { name: name.get_ref().to_string(), span: name.span(), value: node(value) })
        .collect();
    members.sort_by_key(|member| member.span.start);
    Kind::Table(members)
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Number(number.to_string()),
            Err(_) => Kind::Number(number.as_str().to_owned()),
        },
        DeValue::Float(number) => Kind::Number(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Kind::Flag(*flag),
        DeValue::Datetime(date) => Kind::Text(date.to_string()),
        DeValue::Array(items) => Kind::List(items.iter().map(node).collect()),
        DeValue::Table(inner) => table(inner),
    };
    let mut span = value.span();
    // The span of `[[header]]` ends with the header; what is below belongs to it.
    let end = match &kind {
        Kind::Table(members) => members.iter().map(|member| member.value.span.end).max(),
        Kind::List(items) => items.iter().map(|item| item.span.end).max(),
        _ => None,
    };
    span.end = span.end.max(end.unwrap_or(0));
    Node { span, kind }
}
