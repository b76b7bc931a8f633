//! Case files in YAML: one document, the core schema of YAML 1.2, aliases included.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::node::{Kind, Member, Node};
use crate::config::Notes;

/// Nodes that a document may have once its aliases are followed: an alias of an alias of an alias would fill the memory.
const NODES_MAX: usize = 1_000_000;

/// Reads a document. What is wrong is noted, and then there is no document.
pub fn read(text: &str, notes: &mut Notes<'_>) -> Option<Node> {
    // The parser counts characters.
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { text, parser, bytes, read_to: 0, anchors: BTreeMap::new(), nodes: 0, notes };
    match reader.document() {
        Ok(node) => Some(node),
        Err(Fault { at, message }) => {
            reader.notes.mistake(&at, message);
            None
        }
    }
}

/// What is wrong, and where.
struct Fault {
    at: Range<usize>,
    message: String,
}

struct Reader<'t, 'n, 'm> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    bytes: Vec<usize>,
    /// The end of the last scalar or bracket.
    read_to: usize,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    notes: &'n mut Notes<'m>,
}

impl<'t> Reader<'t, '_, '_> {
    fn document(&mut self) -> Result<Node, Fault> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                other if document.is_none() => document = Some(self.node(other, span)?),
                _ => {
                    let message = "a case file is one document; put all cases under one `cases`".to_owned();
                    return Err(Fault { at: span, message });
                }
            }
        }
        Ok(document.unwrap_or(Node { span: 0..0, kind: Kind::Null }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.place(&event, span);
                let is_bracket = matches!(event, Event::MappingEnd | Event::SequenceEnd) && !span.is_empty();
                if is_bracket || matches!(event, Event::Scalar(..) | Event::Alias(_) | Event::DocumentStart(_)) {
                    self.read_to = span.end;
                }
                Ok((event, span))
            }
            Some(Err(error)) => {
                let at = self.byte(error.marker().index());
                Err(Fault { at: at..at, message: format!("this is not YAML: {}", error.info()) })
            }
            None => Ok((Event::StreamEnd, 0..0)),
        }
    }

    /// Where an event is. The parser's own ends lie behind the white space and the comments that follow, and a block scalar
    /// begins for it below its `|`.
    fn place(&self, event: &Event<'_>, span: Span) -> Range<usize> {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty() => start..start,
            Event::Scalar(_, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted, ..) => {
                start..quoted_end(self.text, content_start(self.text, start)).min(end)
            }
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, anchor, tag) => {
                let has_properties = *anchor != 0 || tag.is_some();
                self.block_scalar(if has_properties { start } else { value_start(self.text, self.read_to) }, end)
            }
            Event::Scalar(..) | Event::Alias(_) => start..start + self.text[start..end].trim_end().len(),
            Event::MappingEnd | Event::SequenceEnd if end > start => start..start + 1,
            _ => start..end,
        }
    }

    fn block_scalar(&self, first: usize, end: usize) -> Range<usize> {
        let header = self.text[content_start(self.text, first)..].split(['\n', '#']).next().unwrap_or_default();
        let lines = &self.text[first..end.max(first)];
        let kept = match header.contains('+') {
            // All lines that follow are part of it; the last one's end is not.
            true => lines.trim_end_matches([' ', '\t']).trim_end_matches('\r').strip_suffix('\n').unwrap_or(lines),
            false => lines.trim_end(),
        };
        first..first + kept.len()
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).or(self.bytes.last()).copied().unwrap_or(0)
    }

    fn node(&mut self, event: Event<'t>, span: Range<usize>) -> Result<Node, Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Fault { at: span, message: format!("more than {NODES_MAX} values; split the file") });
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (Node { span, kind: scalar(&text, style, tag.as_deref()) }, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(span)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(span)?, anchor),
            Event::Alias(anchor) => {
                let copy = self.anchors.get(&anchor).cloned();
                let node = copy.ok_or_else(|| Fault { at: span.clone(), message: "an unknown alias".to_owned() })?;
                self.nodes += count(&node);
                (Node { span, ..node }, 0)
            }
            other => return Err(Fault { at: span, message: format!("expected a value, found {other:?}") }),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, start: Range<usize>) -> Result<Node, Fault> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if let Event::SequenceEnd = event {
                let last = items.last().map_or(start.end, |item| item.span.end);
                return Ok(Node { span: start.start..end_of(span, last), kind: Kind::List(items) });
            }
            items.push(self.node(event, span)?);
        }
    }

    fn mapping(&mut self, start: Range<usize>) -> Result<Node, Fault> {
        let mut members: Vec<Member> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if let Event::MappingEnd = event {
                let last = members.last().map_or(start.end, |member| member.value.span.end);
                return Ok(Node { span: start.start..end_of(span, last), kind: Kind::Table(members) });
            }
            let name_span = span.clone();
            let name = match self.node(event, span)?.kind {
                Kind::Text(name) | Kind::Number(name) => name,
                Kind::Flag(flag) => flag.to_string(),
                _ => return Err(Fault { at: name_span, message: "a member's name must be a text".to_owned() }),
            };
            if members.iter().any(|member| member.name == name) {
                return Err(Fault { at: name_span, message: format!("`{name}` occurs twice; give it once") });
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            members.push(Member { name, span: name_span, value });
        }
    }
}

/// Where a value begins behind what stands before it: the `:` of its name, its dash, comments.
fn value_start(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        at += match rest.chars().next() {
            Some(' ' | '\t' | '\n' | '\r') => 1,
            Some('#') => rest.find('\n').unwrap_or(rest.len()),
            Some(':' | '-' | '?') if rest[1..].starts_with([' ', '\t', '\n', '\r']) => 1,
            _ => return at,
        };
    }
}

/// Where a value begins behind its anchor and its tag, and the comments between them.
pub fn content_start(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        at += match rest.chars().next() {
            Some(' ' | '\t' | '\n' | '\r') => 1,
            Some('&' | '!') => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            Some('#') => rest.find('\n').unwrap_or(rest.len()),
            _ => return at,
        };
    }
}

/// The end of the text in quotes that begins at `start`.
fn quoted_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let quote = bytes.get(start).copied();
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        let is_doubled = byte == b'\'' && bytes.get(at + 1) == Some(&b'\'');
        match byte {
            b'\\' if quote == Some(b'"') => at += 2,
            _ if Some(byte) == quote && !(quote == Some(b'\'') && is_doubled) => return at + 1,
            _ if quote == Some(b'\'') && is_doubled => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where a collection ends: with its bracket, or, without one, with its last item.
fn end_of(end: Range<usize>, last: usize) -> usize {
    if end.is_empty() { last } else { end.end }
}

fn count(node: &Node) -> usize {
    match &node.kind {
        Kind::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Kind::Table(members) => 1 + members.iter().map(|member| count(&member.value)).sum::<usize>(),
        _ => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    let is_text = tag.is_some_and(|tag| tag.suffix == "str") || style != ScalarStyle::Plain;
    match text {
        _ if is_text => Kind::Text(text.to_owned()),
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Flag(true),
        "false" | "False" | "FALSE" => Kind::Flag(false),
        _ => number(text).map_or_else(|| Kind::Text(text.to_owned()), Kind::Number),
    }
}

/// The number as JSON writes it, if the plain text is one.
fn number(text: &str) -> Option<String> {
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).ok().map(|number| number.to_string());
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if matches!(text, ".inf" | "-.inf" | "+.inf" | ".nan" | ".NaN" | ".Inf" | "-.Inf") {
        return Some(text.trim_start_matches('+').replace('.', "").to_lowercase());
    }
    let plain = text.strip_prefix('+').unwrap_or(text);
    serde_json::from_str::<serde_json::Number>(plain).ok().map(|_| plain.to_owned())
}
