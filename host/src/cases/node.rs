//! What a case file consists of, whether it was written in TOML or YAML: values with their places.

use std::ops::Range;

use serde_json::Value as Json;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Bytes of the text, from the value's first to its last.
    pub span: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// YAML's null; TOML has none.
    Null,
    /// True or false.
    Flag(bool),
    /// A number, as JSON writes it.
    Number(String),
    /// A text; dates are texts, too.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Members in the order in which they are written, no name twice.
    Table(Vec<Member>),
}

/// A member of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where the name is.
    pub span: Range<usize>,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match &self.kind {
            Kind::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    /// The members, if it is a table.
    pub fn table(&self) -> Option<&[Member]> {
        match &self.kind {
            Kind::Table(members) => Some(members),
            _ => None,
        }
    }

    /// The value of a member, if it is a table that has it.
    pub fn member(&self, name: &str) -> Option<&Self> {
        member(self.table()?, name)
    }

    /// The items, if it is a list.
    pub fn list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "null".to_owned(),
            Kind::Flag(flag) => flag.to_string(),
            Kind::Number(number) => format!("the number {number}"),
            Kind::Text(text) => format!("{text:?}"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
        }
    }

    /// As JSON; numbers that JSON can't write become texts.
    pub fn to_json(&self) -> Json {
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Flag(flag) => Json::Bool(*flag),
            Kind::Number(number) => serde_json::from_str(number).unwrap_or_else(|_| Json::String(number.clone())),
            Kind::Text(text) => Json::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Table(members) => {
                members.iter().map(|member| (member.name.clone(), member.value.to_json())).collect()
            }
        }
    }

    /// As the text of JSON, without white space, numbers as they are written.
    pub fn to_json_text(&self) -> String {
        match &self.kind {
            Kind::Number(number) => number.clone(),
            Kind::List(items) => {
                let items: Vec<_> = items.iter().map(Self::to_json_text).collect();
                format!("[{}]", items.join(","))
            }
            Kind::Table(members) => {
                let member =
                    |member: &Member| format!("{}:{}", Json::String(member.name.clone()), member.value.to_json_text());
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
            _ => self.to_json().to_string(),
        }
    }
}

/// The value of the member with that name.
pub fn member<'n>(members: &'n [Member], name: &str) -> Option<&'n Node> {
    members.iter().find(|member| member.name == name).map(|member| &member.value)
}
