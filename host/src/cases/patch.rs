//! Changes values in a document where they stand: what stays as it is keeps its layout, and every comment is kept.

use std::ops::Range;

use super::bytes::Syntax;
use super::from_yaml::content_start;
use super::node::{Kind, Member, Node};
use super::read_value;

/// What a value becomes.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// It stays as it is.
    Kept,
    /// It becomes what this text says, which stands on one line.
    Text(String),
    /// A table becomes one of these members.
    Table(Vec<(String, Wanted)>),
    /// A list becomes one of these items: those that were there, by their indexes, and new ones.
    List(Vec<(Option<usize>, Wanted)>),
}

/// A part of a document and what takes its place.
pub type Change = (Range<usize>, String);

/// A change for which there is no place without touching more than the value: another way must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace;

type Done = Result<(), NoPlace>;

/// What comes to stand in a container.
enum Item {
    /// What was there at this index.
    Old(usize),
    /// A new one, without dash or comma.
    New(String),
}

/// How a table or a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// In brackets, with commas.
    Brackets,
    /// A member or an item a line, items behind dashes in YAML.
    Lines,
    /// Tables below TOML's `[[headers]]`.
    Headers,
}

/// The document with `changes`.
pub fn changed(text: &str, mut changes: Vec<Change>) -> String {
    // From the end, so that what is not yet changed stays where it is; equal places keep their order.
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    let mut text = text.to_owned();
    for (range, replacement) in changes.into_iter().rev() {
        text.replace_range(range, &replacement);
    }
    text
}

/// A document that is being changed.
pub struct Patch<'a> {
    text: &'a str,
    syntax: Syntax,
    comments: Vec<Range<usize>>,
    newline: &'static str,
    changes: Vec<Change>,
}

impl<'a> Patch<'a> {
    /// Begins to change `text`, which says `root`.
    pub fn new(text: &'a str, root: &Node, syntax: Syntax) -> Self {
        let newline = if text.split('\n').next().is_some_and(|line| line.ends_with('\r')) { "\r\n" } else { "\n" };
        Self { text, syntax, comments: comments(text, root, syntax), newline, changes: Vec::new() }
    }

    /// All changes.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Makes `node` what is wanted, or nothing.
    pub fn attempt(&mut self, node: &Node, wanted: &Wanted) -> Done {
        let before = self.changes.len();
        self.change(node, wanted).inspect_err(|NoPlace| self.changes.truncate(before))
    }

    /// Makes `node` what is wanted.
    pub fn change(&mut self, node: &Node, wanted: &Wanted) -> Done {
        self.change_behind(node, None, wanted)
    }

    /// `behind`: where the value's place begins, behind the name.
    fn change_behind(&mut self, node: &Node, behind: Option<usize>, wanted: &Wanted) -> Done {
        match wanted {
            Wanted::Kept => Ok(()),
            Wanted::Text(text) => match self.refined(node, text) {
                Some(wanted) => {
                    let before = self.changes.len();
                    self.change_behind(node, behind, &wanted).or_else(|NoPlace| {
                        self.changes.truncate(before);
                        self.replace(node, behind, text)
                    })
                }
                None => self.replace(node, behind, text),
            },
            Wanted::Table(members) => self.table(node, members),
            Wanted::List(items) => self.list(node, items),
        }
    }

    /// What would change less than to write all of `text` anew.
    fn refined(&self, node: &Node, text: &str) -> Option<Wanted> {
        if self.is_alias(node) || !matches!(node.kind, Kind::Table(_) | Kind::List(_)) {
            return None;
        }
        let whole = read_value(text, self.syntax)?;
        // The text that was read has the name and what stands behind it before.
        let text = format!("x{}{text}", self.syntax.is());
        let new = match unwrapped(&whole) {
            Some(inner) if unwrapped(node).is_none() => inner,
            _ => &whole,
        };
        refine(node, new, &text)
    }

    fn replace(&mut self, node: &Node, behind: Option<usize>, new: &str) -> Done {
        let range = node.span.clone();
        let comments: Vec<&str> = self.comments_in(&range).map(|comment| &self.text[comment.clone()]).collect();
        let is_end_of_line = self.text[range.end..line_end(self.text, range.end)].trim().is_empty();
        let new = &match comments[..] {
            [] => new.to_owned(),
            [comment] if is_end_of_line => format!("{new} {comment}"),
            _ => return Err(NoPlace),
        };
        match (self.syntax, behind) {
            (Syntax::Yaml, Some(behind)) if range.is_empty() => self.changes.push((behind..behind, format!(" {new}"))),
            (Syntax::Yaml, Some(behind))
                if self.text[behind..range.start].trim().is_empty()
                    && self.text[behind..range.start].contains('\n') =>
            {
                self.changes.push((behind..range.end, format!(" {new}")));
            }
            // Dotted names and headers say what no value can take the place of.
            (Syntax::Toml, _) if matches!(node.kind, Kind::Table(_)) && !self.text[range.clone()].starts_with('{') => {
                return Err(NoPlace);
            }
            _ => self.changes.push((range, new.clone())),
        }
        Ok(())
    }

    // === Containers ===

    fn table(&mut self, node: &Node, wanted: &[(String, Wanted)]) -> Done {
        let members = node.table().ok_or(NoPlace)?;
        // Members stay in the order in which they are; a new one comes behind the one that it is to follow.
        let place = |name: &str| members.iter().position(|member| member.name == name);
        let mut last = None;
        let mut ranked: Vec<((usize, usize), Item)> = Vec::new();
        for (at, (name, wanted)) in wanted.iter().enumerate() {
            match place(name) {
                Some(old) => {
                    last = Some(old);
                    ranked.push(((old, 0), Item::Old(old)));
                    let member = &members[old];
                    self.change_behind(&member.value, self.behind_name(member), wanted)?;
                }
                None => {
                    let Wanted::Text(text) = wanted else { return Err(NoPlace) };
                    let text = format!("{}{}{text}", self.syntax.name(name), self.syntax.is());
                    ranked.push(((last.unwrap_or(0), at + 1), Item::New(text)));
                }
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let items = ranked.into_iter().map(|(_, item)| item).collect();
        let ranges: Vec<_> = members.iter().map(|member| self.range_of(member)).collect();
        let style = self.style(node);
        self.container(style, &ranges, "", items)
    }

    fn list(&mut self, node: &Node, wanted: &[(Option<usize>, Wanted)]) -> Done {
        let old = node.list().ok_or(NoPlace)?;
        let mut items = Vec::new();
        for (index, wanted) in wanted {
            match (index, wanted) {
                (Some(index), wanted) => {
                    self.change(old.get(*index).ok_or(NoPlace)?, wanted)?;
                    items.push(Item::Old(*index));
                }
                (None, Wanted::Text(text)) => items.push(Item::New(text.clone())),
                (None, _) => return Err(NoPlace),
            }
        }
        let style = self.style(node);
        let ranges = match style {
            Style::Lines => old.iter().map(|item| self.dash_of(item)).collect::<Result<Vec<_>, _>>()?,
            Style::Brackets | Style::Headers => old.iter().map(|item| item.span.clone()).collect(),
        };
        self.container(style, &ranges, if style == Style::Lines { "- " } else { "" }, items)
    }

    fn style(&self, node: &Node) -> Style {
        let is_headers =
            |item: &Node| matches!(item.kind, Kind::Table(_)) && self.text[item.span.clone()].starts_with("[[");
        match self.syntax {
            Syntax::Yaml if self.text[content_start(self.text, node.span.start)..].starts_with(['{', '[']) => {
                Style::Brackets
            }
            Syntax::Yaml => Style::Lines,
            Syntax::Toml => match &node.kind {
                Kind::List(items) if items.first().is_some_and(is_headers) => Style::Headers,
                Kind::Table(_) if !self.text[node.span.clone()].starts_with('{') => Style::Lines,
                _ => Style::Brackets,
            },
        }
    }

    /// Where a member is written, with its name.
    fn range_of(&self, member: &Member) -> Range<usize> {
        let end = if member.value.span.is_empty() { self.behind_name(member) } else { None };
        member.span.start..end.unwrap_or(member.value.span.end).max(member.span.end)
    }

    /// Where the place of a member's value begins.
    fn behind_name(&self, member: &Member) -> Option<usize> {
        let rest = &self.text[member.span.end..];
        let sign = rest.trim_start_matches([' ', '\t']);
        let is = if self.syntax == Syntax::Yaml { ':' } else { '=' };
        sign.starts_with(is).then(|| self.text.len() - sign.len() + 1)
    }

    /// Where an item of a block list is, with its dash.
    fn dash_of(&self, item: &Node) -> Result<Range<usize>, NoPlace> {
        let before = self.text[..item.span.start].trim_end_matches([' ', '\t']);
        if !before.ends_with('-') {
            return Err(NoPlace);
        }
        Ok(before.len() - 1..item.span.end)
    }

    fn container(&mut self, style: Style, ranges: &[Range<usize>], prefix: &str, items: Vec<Item>) -> Done {
        let stays: Vec<usize> =
            items.iter().filter_map(|item| if let Item::Old(index) = item { Some(*index) } else { None }).collect();
        if items.len() == ranges.len() && stays.len() == ranges.len() {
            return Ok(());
        }
        let first = *stays.first().ok_or(NoPlace)?;
        let (mut last, mut before, mut behind) = (None, Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Old(index) => {
                    self.insert_behind(style, ranges, prefix, last, std::mem::take(&mut behind));
                    last = Some(index);
                }
                Item::New(text) if last.is_none() => before.push(text),
                Item::New(text) => behind.push(text),
            }
        }
        self.insert_behind(style, ranges, prefix, last, behind);
        self.insert_before(style, &ranges[first], prefix, before)?;
        let gone = |index: &usize| !stays.contains(index);
        match style {
            Style::Lines | Style::Headers => {
                (0..ranges.len()).filter(gone).try_for_each(|index| self.remove_lines(style, &ranges[index]))
            }
            Style::Brackets => {
                self.remove_between(ranges, &stays);
                Ok(())
            }
        }
    }

    // === New items ===

    fn insert_behind(
        &mut self,
        style: Style,
        ranges: &[Range<usize>],
        prefix: &str,
        index: Option<usize>,
        new: Vec<String>,
    ) {
        let Some(range) = index.and_then(|index| ranges.get(index)).filter(|_| !new.is_empty()) else { return };
        let (newline, line_end) = (self.newline, line_end(self.text, range.end));
        let indent = self.indent_at(range.start);
        match style {
            Style::Lines => {
                let lines: String = new.iter().map(|new| format!("{newline}{indent}{prefix}{new}")).collect();
                self.changes.push((line_end..line_end, lines));
            }
            Style::Headers => {
                let tables: String =
                    new.iter().map(|new| format!("{newline}{newline}{}", self.under_header(range, new))).collect();
                self.changes.push((line_end..line_end, tables));
            }
            Style::Brackets => match self.line_of_its_own(range) {
                Some((end, has_comma)) => {
                    let separator = format!(",{newline}{indent}");
                    let mut lines = format!("{newline}{indent}{}", new.join(&separator));
                    if has_comma {
                        lines.push(',');
                    } else {
                        self.changes.push((range.end..range.end, ",".to_owned()));
                    }
                    self.changes.push((end..end, lines));
                }
                None if self.is_first_on_line(range.start) => {
                    let lines: String = new.iter().map(|new| format!(",{newline}{indent}{new}")).collect();
                    self.changes.push((range.end..range.end, lines));
                }
                None => self.changes.push((range.end..range.end, new.iter().map(|new| format!(", {new}")).collect())),
            },
        }
    }

    fn insert_before(&mut self, style: Style, range: &Range<usize>, prefix: &str, new: Vec<String>) -> Done {
        if new.is_empty() {
            return Ok(());
        }
        let (newline, indent) = (self.newline, self.indent_at(range.start));
        let is_first = self.is_first_on_line(range.start);
        let at = range.start;
        let text: String = match style {
            Style::Lines if !is_first => return Err(NoPlace),
            Style::Lines => new.iter().map(|new| format!("{prefix}{new}{newline}{indent}")).collect(),
            Style::Headers => {
                new.iter().map(|new| format!("{}{newline}{newline}", self.under_header(range, new))).collect()
            }
            Style::Brackets if is_first => new.iter().map(|new| format!("{new},{newline}{indent}")).collect(),
            Style::Brackets => new.iter().map(|new| format!("{new}, ")).collect(),
        };
        self.changes.push((at..at, text));
        Ok(())
    }

    /// `{ a = 1, b = 2 }` below a header as that of `range`, a member a line.
    pub fn under_header(&self, range: &Range<usize>, table: &str) -> String {
        let header = self.text[range.start..line_end(self.text, range.start)].split("]]").next().unwrap_or_default();
        let members = members_of(table).join(self.newline);
        format!("{header}]]{}{members}", self.newline)
    }

    // === What goes ===

    /// Removes whole lines; their comments stay, in lines of their own.
    fn remove_lines(&mut self, style: Style, range: &Range<usize>) -> Done {
        if !self.is_first_on_line(range.start) {
            return Err(NoPlace);
        }
        let mut start = line_start(self.text, range.start);
        let line_end = line_end(self.text, range.end);
        let mut end = behind_newline(self.text, line_end);
        let kept = self.kept_comments(&(start..end), &self.indent_at(range.start));
        if style == Style::Headers && kept.is_empty() {
            // One empty line of those that stand between two headers.
            let next = behind_newline(self.text, end);
            end = if self.text[end..next].trim().is_empty() { next } else { end };
        }
        if end == line_end && kept.is_empty() && start > 0 {
            // The last line of a file that ends without a newline.
            start -= if self.text[..start].ends_with("\r\n") { 2 } else { 1 };
        }
        self.changes.push((start..end, kept));
        Ok(())
    }

    /// Removes items in brackets, runs of them at once; their comments stay.
    fn remove_between(&mut self, ranges: &[Range<usize>], stays: &[usize]) {
        let mut at = 0;
        while at < ranges.len() {
            if stays.contains(&at) {
                at += 1;
                continue;
            }
            let end = (at..ranges.len()).find(|index| stays.contains(index)).unwrap_or(ranges.len());
            let run = &ranges[at..end];
            let indent = self.indent_at(run[0].start);
            if run.iter().all(|range| self.line_of_its_own(range).is_some()) {
                for range in run {
                    let (start, line_end) = (line_start(self.text, range.start), line_end(self.text, range.end));
                    let gone = start..behind_newline(self.text, line_end);
                    let kept = self.kept_comments(&gone, &indent);
                    self.changes.push((gone, kept));
                }
            } else {
                let gone = match (ranges.get(end), at.checked_sub(1)) {
                    (Some(next), _) => run[0].start..next.start,
                    (None, Some(previous)) => ranges[previous].end..run[run.len() - 1].end,
                    (None, None) => run[0].start..run[run.len() - 1].end,
                };
                let kept: String = self
                    .comments_in(&gone)
                    .map(|comment| format!(" {}{}{indent}", &self.text[comment.clone()], self.newline))
                    .collect();
                self.changes.push((gone, kept));
            }
            at = end;
        }
    }

    // === Comments and lines ===

    /// The comments that lie in `range`.
    pub fn comments_in(&self, range: &Range<usize>) -> impl Iterator<Item = &Range<usize>> {
        let range = range.clone();
        self.comments.iter().filter(move |comment| comment.start >= range.start && comment.start < range.end)
    }

    /// The comments of `range`, a line each.
    pub fn kept_comments(&self, range: &Range<usize>, indent: &str) -> String {
        self.comments_in(range)
            .map(|comment| format!("{indent}{}{}", &self.text[comment.clone()], self.newline))
            .collect()
    }

    /// If an item in brackets has a line of its own: where the line ends, and whether there is a comma behind the item.
    fn line_of_its_own(&self, range: &Range<usize>) -> Option<(usize, bool)> {
        let rest = &self.text[range.end..line_end(self.text, range.end)];
        let spaceless = rest.trim_start_matches([' ', '\t']);
        let has_comma = spaceless.starts_with(',');
        let rest = spaceless.strip_prefix(',').unwrap_or(spaceless).trim();
        let is_alone = self.is_first_on_line(range.start) && (rest.is_empty() || rest.starts_with('#'));
        // A comma in a line below would be the end of an empty item.
        let next = content_start(self.text, range.end);
        let has_late_comma = !has_comma && self.text[next..].starts_with(',');
        (is_alone && !has_late_comma).then(|| (line_end(self.text, range.end), has_comma))
    }

    /// Whether there is only white space before.
    pub fn is_first_on_line(&self, at: usize) -> bool {
        self.text[line_start(self.text, at)..at].trim().is_empty()
    }

    /// White space as wide as what stands before; that of the line, if the place is not the first one in it and is in brackets.
    pub fn indent_at(&self, at: usize) -> String {
        let before = &self.text[line_start(self.text, at)..at];
        let blank = |c: char| if c.is_whitespace() { c } else { ' ' };
        match before.trim_matches(['-', ' ', '\t']).is_empty() {
            true => before.chars().map(blank).collect(),
            false => before[..before.len() - before.trim_start().len()].to_owned(),
        }
    }

    fn is_alias(&self, node: &Node) -> bool {
        self.syntax == Syntax::Yaml && self.text[node.span.clone()].starts_with('*')
    }
}

/// The value of a table `{json: ..}` that means the same without it.
fn unwrapped(node: &Node) -> Option<&Node> {
    match &node.kind {
        Kind::Table(members) => match &members[..] {
            [member] if member.name == "json" && is_json(&member.value) => Some(&member.value),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a value is JSON without saying so.
fn is_json(node: &Node) -> bool {
    match &node.kind {
        Kind::Table(members) => members.len() > 1,
        Kind::List(_) => true,
        _ => false,
    }
}

/// How `old` becomes `new`, a part of `text`, if they have something in common.
fn refine(old: &Node, new: &Node, text: &str) -> Option<Wanted> {
    let whole = |node: &Node| Wanted::Text(text[node.span.clone()].to_owned());
    let become_new = |old: &Node, new: &Node| match has_same_value(old, new) {
        true => Wanted::Kept,
        false => refine(old, new, text).unwrap_or_else(|| whole(new)),
    };
    match (&old.kind, &new.kind) {
        (Kind::Table(old), Kind::Table(new)) => {
            let of = |name: &str| old.iter().find(|member| member.name == name);
            new.iter().find(|member| of(&member.name).is_some())?;
            let wanted = new.iter().map(|member| {
                let wanted =
                    of(&member.name).map_or_else(|| whole(&member.value), |old| become_new(&old.value, &member.value));
                (member.name.clone(), wanted)
            });
            Some(Wanted::Table(wanted.collect()))
        }
        (Kind::List(old), Kind::List(new)) if old.len() == new.len() && !old.is_empty() => {
            let wanted = old.iter().zip(new).enumerate();
            Some(Wanted::List(wanted.map(|(at, (old, new))| (Some(at), become_new(old, new))).collect()))
        }
        (Kind::List(old), Kind::List(new)) => {
            let mut at = 0;
            let wanted: Vec<_> = new
                .iter()
                .map(|new| match old[at..].iter().position(|old| has_same_value(old, new)) {
                    Some(place) => {
                        at += place + 1;
                        (Some(at - 1), Wanted::Kept)
                    }
                    None => (None, whole(new)),
                })
                .collect();
            wanted.iter().any(|(old, _)| old.is_some()).then_some(Wanted::List(wanted))
        }
        _ => None,
    }
}

/// Whether two values are the same, wherever they stand.
fn has_same_value(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::List(one), Kind::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| has_same_value(one, other))
        }
        (Kind::Table(one), Kind::Table(other)) => {
            let has_same =
                |(one, other): (&Member, &Member)| one.name == other.name && has_same_value(&one.value, &other.value);
            one.len() == other.len() && one.iter().zip(other).all(has_same)
        }
        (one, other) => one == other,
    }
}

/// Where the comments of a document are: behind a `#` that is in no name and no value.
fn comments(text: &str, root: &Node, syntax: Syntax) -> Vec<Range<usize>> {
    let mut leaves = Vec::new();
    collect_leaves(text, root, &mut leaves);
    leaves.sort_by_key(|leaf| (leaf.start, leaf.end));
    let (mut comments, mut at) = (Vec::new(), 0);
    for leaf in leaves.into_iter().chain(std::iter::once(text.len()..text.len())) {
        let mut gap = at;
        while gap < leaf.start {
            let Some(place) = text[gap..leaf.start].find('#').map(|place| gap + place) else { break };
            let is_comment = syntax == Syntax::Toml
                || text[..place].chars().next_back().is_none_or(|c| c.is_whitespace() || c == '\u{feff}');
            gap = place + 1;
            if is_comment {
                let end = line_end(text, place);
                comments.push(place..place + text[place..end].trim_end().len());
                gap = end;
            }
        }
        // The header of a block scalar may have one.
        if text[leaf.clone()].starts_with(['|', '>']) && syntax == Syntax::Yaml {
            let end = line_end(text, leaf.start);
            comments.extend(text[leaf.start..end].find(" #").map(|place| leaf.start + place + 1..end));
        }
        at = at.max(leaf.end);
    }
    comments
}

fn collect_leaves(text: &str, node: &Node, leaves: &mut Vec<Range<usize>>) {
    match &node.kind {
        _ if text[node.span.clone()].starts_with('*') => leaves.push(node.span.clone()),
        Kind::List(items) => items.iter().for_each(|item| collect_leaves(text, item, leaves)),
        Kind::Table(members) => {
            for member in members {
                leaves.push(member.span.clone());
                collect_leaves(text, &member.value, leaves);
            }
        }
        _ => leaves.push(node.span.clone()),
    }
}

/// The members of a table on one line, told apart outside of quotes and brackets.
fn members_of(table: &str) -> Vec<&str> {
    let inner = table.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(table);
    let (mut members, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0, false, false);
    for (at, character) in inner.char_indices() {
        match character {
            '"' if !escaped => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                members.push(inner[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    members.push(inner[start..].trim());
    members
}

pub fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The end of the line, before its newline.
pub fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    if end > at && text[..end].ends_with('\r') { end - 1 } else { end }
}

/// The beginning of the next line, from the end of one.
fn behind_newline(text: &str, line_end: usize) -> usize {
    text[line_end..].find('\n').map_or(text.len(), |newline| line_end + newline + 1)
}
