//! The JSON Schema of a manifest, for editors; made from the table of keys.

use serde_json::{Map, Value, json};

use super::keys::{Key, Kind, SECTIONS, Section};

/// The schema (draft 2020-12).
#[must_use]
pub fn json_schema() -> Value {
    let properties: Map<String, Value> =
        SECTIONS.iter().map(|section| (section.name.to_owned(), section_schema(section))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millstream application",
        "type": "object",
        "properties": properties,
        "required": ["application", "sources"],
        "additionalProperties": false,
    })
}

fn section_schema(section: &Section) -> Value {
    if section.keys.is_empty() {
        let mut schema = properties_schema();
        schema["description"] = section.about.into();
        return schema;
    }
    let properties: Map<String, Value> =
        section.keys.iter().map(|key| (key.name.to_owned(), key_schema(key))).collect();
    let required: Vec<&str> = section.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let table = json!({
        "type": "object",
        "description": section.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !section.is_named {
        return table;
    }
    json!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-zA-Z0-9._-]{1,249}$" },
        "additionalProperties": table,
    })
}

fn key_schema(key: &Key) -> Value {
    let mut schema = match key.kind {
        Kind::Text | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Topic => json!({ "type": "string", "pattern": "^[a-zA-Z0-9._-]{1,249}$" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Duration(_) => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
        Kind::DurationOrOff => json!({ "type": "string", "pattern": "^(off|[0-9]+(ms|s|m|h|d))$" }),
        Kind::Size(..) => json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string", "minLength": 1 }, "uniqueItems": true }),
        Kind::Properties => properties_schema(),
    };
    schema["description"] = key.about.into();
    if let Some(default) = key.default {
        schema["default"] = match key.kind {
            Kind::Flag => json!(default == "true"),
            Kind::Integer(..) => json!(default.parse::<i64>().unwrap_or_default()),
            _ => json!(default),
        };
    }
    schema
}

fn properties_schema() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
}
