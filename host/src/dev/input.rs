//! Inputs of dev mode: the records of a topic from a file or standard input, finite or followed.
//!
//! Nothing is read ahead but one block, so that files may be of any size. Reading from standard input blocks until
//! there is something; reading from a file does not.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use millstream_core::id::{Timestamp, TopicName};
use millstream_core::record::{Headers, Record, RecordBatch};

use super::json_lines::parse_line;

/// The bytes that are asked of a file at a time.
const BLOCK_BYTES: usize = 128 << 10;

/// A call stops when the batch holds this much, whatever the number of records.
const BATCH_BYTES: usize = 1 << 20;

/// The default of [`InputOptions::line_bytes_max`]: the largest record that Kafka takes by default, as base64, with
/// room to spare. A file that has no lines at all would otherwise fill the memory.
pub const LINE_BYTES_MAX: usize = 8 << 20;

/// Where the records of a topic come from: `TOPIC=PATH`, or `TOPIC=-` for standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// The topic.
    pub topic: TopicName,
    /// The file; `None` is standard input.
    pub path: Option<PathBuf>,
}

impl FromStr for InputSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((topic, path)) if !topic.is_empty() && !path.is_empty() => {
                Ok(Self { topic: TopicName::from(topic), path: (path != "-").then(|| PathBuf::from(path)) })
            }
            _ => Err(format!("`{text}` is no input; use TOPIC=PATH, or TOPIC=- for standard input")),
        }
    }
}

/// How an input is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputOptions {
    /// Each line is a value without a key, instead of a record in JSON.
    pub is_lines: bool,
    /// At the end of a file wait for more, as `tail -F` does: also when it is truncated, or replaced by another of
    /// its name.
    pub is_followed: bool,
    /// A longer line is an error, in bytes.
    pub line_bytes_max: usize,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self { is_lines: false, is_followed: false, line_bytes_max: LINE_BYTES_MAX }
    }
}

/// What a call of [`Input::read`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many records were appended.
    Read(usize),
    /// A followed file has nothing new: try again in a while.
    Waiting,
    /// There will be no more.
    Ended,
}

/// What is wrong with an input.
#[derive(Debug)]
pub struct InputError {
    origin: String,
    line: Option<u64>,
    column: Option<usize>,
    reason: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        for position in [self.line, self.column.map(|column| column as u64)].into_iter().flatten() {
            write!(f, ":{position}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for InputError {}

/// An input that is being read. An error ends it.
pub struct Input {
    options: InputOptions,
    path: Option<PathBuf>,
    source: Box<dyn Read + Send>,
    /// Which file is open, to notice that its name has been given to another.
    identity: Option<FileIdentity>,
    /// The bytes of the open file that have been read.
    position: u64,
    buffer: Vec<u8>,
    /// What is before this has been handed out.
    consumed: usize,
    /// What is before this holds no end of a line.
    searched: usize,
    /// The lines of the open file that have been handed out.
    lines: u64,
    /// The source has ended, and what it gave last may be left.
    is_exhausted: bool,
    is_ended: bool,
}

impl Input {
    /// Opens what `spec` names.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it can't be read.
    pub fn open(spec: &InputSpec, options: InputOptions) -> Result<Self, InputError> {
        let Some(path) = &spec.path else { return Ok(Self::from_reader(Box::new(io::stdin()), options)) };
        let (file, identity) = open_file(path).map_err(|error| unreadable(path, &error))?;
        let mut input = Self::from_reader(Box::new(file), options);
        input.path = Some(path.clone());
        input.identity = Some(identity);
        Ok(input)
    }

    /// Reads from anything else, called `standard input` in errors; it can't be followed.
    #[must_use]
    pub fn from_reader(source: Box<dyn Read + Send>, options: InputOptions) -> Self {
        Self {
            options,
            path: None,
            source,
            identity: None,
            position: 0,
            buffer: Vec::new(),
            consumed: 0,
            searched: 0,
            lines: 0,
            is_exhausted: false,
            is_ended: false,
        }
    }

    /// Appends up to `records_max` records to `batch`, with `now` for those without a timestamp. Empty lines are
    /// passed over, unless each line is a value.
    ///
    /// # Errors
    ///
    /// [`InputError`] with file and line when a line is wrong, too long, or can't be read. The records before it are
    /// in the batch.
    pub fn read(
        &mut self,
        records_max: usize,
        now: Timestamp,
        batch: &mut RecordBatch,
    ) -> Result<Progress, InputError> {
        let before = batch.len();
        while batch.len() - before < records_max && batch.byte_len() < BATCH_BYTES {
            if self.is_ended {
                break;
            }
            let went_on = self.advance(batch.len() > before, now, batch);
            if !went_on.inspect_err(|_| self.is_ended = true)? {
                break;
            }
        }
        Ok(match batch.len() - before {
            0 if self.is_ended => Progress::Ended,
            0 => Progress::Waiting,
            count => Progress::Read(count),
        })
    }

    /// Appends the next line, or reads more to find one; `false` when there is nothing to do now.
    fn advance(&mut self, has_records: bool, now: Timestamp, batch: &mut RecordBatch) -> Result<bool, InputError> {
        if let Some(line) = self.next_line()? {
            self.append(line, now, batch)?;
            return Ok(true);
        }
        // A source that blocks must not keep back what it has given already.
        let would_block = has_records && self.path.is_none();
        if would_block { Ok(false) } else { self.fill() }
    }

    fn append(&self, line: std::ops::Range<usize>, now: Timestamp, batch: &mut RecordBatch) -> Result<(), InputError> {
        let bytes = &self.buffer[line];
        if self.options.is_lines {
            batch.push(Record { key: None, value: Some(bytes), timestamp: now, headers: Headers::EMPTY }, 0);
            return Ok(());
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        parse_line(bytes, now, batch)
            .map_err(|error| InputError { column: Some(error.column), ..self.wrong(error.reason) })
    }

    /// The next whole line in the buffer, without its end; at the end of the input also one that has none.
    fn next_line(&mut self) -> Result<Option<std::ops::Range<usize>>, InputError> {
        let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let start = self.consumed;
        let mut end = match found {
            Some(found) => self.searched + found,
            None => self.buffer.len(),
        };
        if end - start > self.options.line_bytes_max {
            self.lines += 1;
            let max = self.options.line_bytes_max;
            return Err(self.wrong(format!("the line is longer than {max} bytes; divide it, or raise the limit")));
        }
        if found.is_none() {
            self.searched = end;
            return Ok(None);
        }
        self.consumed = end + 1;
        self.searched = self.consumed;
        if end > start && self.buffer[end - 1] == b'\r' {
            end -= 1;
        }
        Ok(Some(self.count_line(start..end)))
    }

    fn count_line(&mut self, line: std::ops::Range<usize>) -> std::ops::Range<usize> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        self.lines += 1;
        let has_mark = self.lines == 1 && self.buffer[line.clone()].starts_with(BYTE_ORDER_MARK);
        if has_mark { line.start + BYTE_ORDER_MARK.len()..line.end } else { line }
    }

    /// Reads another block. `false` when there is none now.
    fn fill(&mut self) -> Result<bool, InputError> {
        if self.is_exhausted {
            self.is_ended = true;
            return Ok(false);
        }
        self.buffer.drain(..self.consumed);
        self.searched -= self.consumed;
        self.consumed = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + BLOCK_BYTES, 0);
        let read = read_some(&mut self.source, &mut self.buffer[length..]);
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        let unreadable = |error| InputError { line: None, ..self.wrong(format!("can't be read ({error}); check it")) };
        let read = read.map_err(unreadable)?;
        self.position += read as u64;
        if read > 0 { Ok(true) } else { self.end_of_file() }
    }

    /// What follows the end of the file: nothing, more of it later, or another file of its name.
    fn end_of_file(&mut self) -> Result<bool, InputError> {
        let Some(path) = self.path.clone().filter(|_| self.options.is_followed) else {
            self.is_exhausted = true;
            self.is_ended = !self.end_last_line();
            return Ok(!self.is_ended);
        };
        // While a file is being replaced there may be none of its name.
        let Ok(metadata) = std::fs::metadata(&path) else { return Ok(false) };
        let is_replaced = Some(FileIdentity::of(&metadata)) != self.identity;
        let is_truncated = !is_replaced && metadata.len() < self.position;
        if !is_replaced && !is_truncated {
            return Ok(false);
        }
        if is_replaced && self.end_last_line() {
            return Ok(true);
        }
        let Ok((file, identity)) = open_file(&path) else { return Ok(false) };
        self.source = Box::new(file);
        self.identity = Some(identity);
        (self.position, self.lines) = (0, 0);
        // The rest of a line that was cut off in its file will never come.
        self.buffer.clear();
        (self.consumed, self.searched) = (0, 0);
        Ok(true)
    }

    /// Gives the last line the end that it lacks; tells whether there is such a line.
    fn end_last_line(&mut self) -> bool {
        let is_there = self.buffer.len() > self.consumed;
        if is_there {
            self.buffer.push(b'\n');
        }
        is_there
    }

    fn wrong(&self, reason: impl Into<String>) -> InputError {
        let origin = self.path.as_ref().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        InputError { origin, line: Some(self.lines), column: None, reason: reason.into() }
    }
}

fn read_some(source: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn open_file(path: &Path) -> io::Result<(File, FileIdentity)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((file, FileIdentity::of(&metadata)))
}

fn unreadable(path: &Path, error: &io::Error) -> InputError {
    let reason = format!("can't be opened ({error}); name a file that can be read");
    InputError { origin: path.display().to_string(), line: None, column: None, reason }
}

/// What tells a file from another of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    node: u64,
}

impl FileIdentity {
    #[cfg(unix)]
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), node: metadata.ino() }
    }

    /// Elsewhere only truncation is noticed.
    #[cfg(not(unix))]
    fn of(_metadata: &std::fs::Metadata) -> Self {
        Self { device: 0, node: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LINES: InputOptions = InputOptions { is_lines: true, is_followed: false, line_bytes_max: 100 };
    const JSON: InputOptions = InputOptions { is_lines: false, is_followed: false, line_bytes_max: 100 };

    /// Gives `bytes` in pieces of `piece`.
    struct Pieces {
        bytes: Vec<u8>,
        piece: usize,
    }

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.piece.min(self.bytes.len()).min(into.len());
            into[..count].copy_from_slice(&self.bytes[..count]);
            self.bytes.drain(..count);
            Ok(count)
        }
    }

    fn input(bytes: &[u8], piece: usize, options: InputOptions) -> Input {
        Input::from_reader(Box::new(Pieces { bytes: bytes.to_vec(), piece }), options)
    }

    fn values(batch: &RecordBatch) -> Vec<String> {
        batch.iter().map(|record| String::from_utf8_lossy(record.value.unwrap_or(b"null")).into_owned()).collect()
    }

    /// Reads until nothing comes; the error, if there was one, is the last value.
    fn read_all(input: &mut Input) -> Vec<String> {
        let mut batch = RecordBatch::new();
        loop {
            match input.read(2, 9, &mut batch) {
                Ok(Progress::Read(_)) => {}
                Ok(Progress::Waiting | Progress::Ended) => return values(&batch),
                Err(error) => {
                    assert_eq!(input.read(2, 9, &mut batch).unwrap(), Progress::Ended, "an error ends the input");
                    return values(&batch).into_iter().chain([error.to_string()]).collect();
                }
            }
        }
    }

    #[test]
    fn lines_are_values_whatever_their_ends_and_the_pieces_they_come_in() {
        let cases: [(&[u8], &[&str]); 7] = [
            (b"", &[]),
            (b"a", &["a"]),
            (b"a\n", &["a"]),
            (b"a\r\n\r\nb\n\nc\rd", &["a", "", "b", "", "c\rd"]),
            (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", &["a", "\u{feff}b"]),
            (b"\n", &[""]),
            (b"\xff\n", &["\u{fffd}"]),
        ];
        for (bytes, expected) in cases {
            for piece in [1, 2, 3, 1000] {
                assert_eq!(read_all(&mut input(bytes, piece, LINES)), expected, "{bytes:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn json_lines_have_keys_and_empty_lines_are_passed_over() {
        let mut input = input(b"{\"key\":\"k\",\"value\":1}\r\n \n\n{\"timestamp\":3}", 5, JSON);
        let mut batch = RecordBatch::new();
        while input.read(10, 9, &mut batch).unwrap() != Progress::Ended {}
        assert_eq!(values(&batch), ["1", "null"]);
        assert_eq!((batch.key(0), batch.timestamp(0), batch.timestamp(1)), (Some(&b"k"[..]), 9, 3));
    }

    #[test]
    fn a_wrong_line_is_named_after_those_before_it_were_read() {
        let json = read_all(&mut input(b"{\"value\":1}\n\n{\"valeu\":1}\n{}", 1000, JSON));
        assert_eq!(json[0], "1");
        assert!(json[1].starts_with("standard input:3:2: there is no member `valeu`"), "{}", json[1]);
        let long = [b"ok\n".to_vec(), vec![b'x'; 101], b"\n".to_vec()].concat();
        for piece in [7, 1000] {
            let lines = read_all(&mut input(&long, piece, LINES));
            assert_eq!(lines[0], "ok");
            assert!(lines[1].starts_with("standard input:2: the line is longer than 100 bytes"), "{}", lines[1]);
        }
        assert_eq!(read_all(&mut input(&[b'x'; 100], 1000, LINES)).len(), 1, "the limit itself is allowed");
    }

    #[test]
    fn a_source_that_blocks_hands_out_what_it_has() {
        struct Once(bool);
        impl Read for Once {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                assert!(!self.0, "read again although there are records to hand out");
                self.0 = true;
                into[..4].copy_from_slice(b"a\nb\n");
                Ok(4)
            }
        }
        let mut batch = RecordBatch::new();
        let read = Input::from_reader(Box::new(Once(false)), LINES).read(10, 9, &mut batch).unwrap();
        assert_eq!((read, values(&batch)), (Progress::Read(2), vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_failing_source_is_told() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let found = read_all(&mut Input::from_reader(Box::new(Failing), LINES));
        assert_eq!(found, ["standard input: can't be read (the disk is gone); check it"]);
    }

    /// A file that goes away with its test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            Self(std::env::temp_dir().join(format!("millstream-input-{}-{number}", std::process::id())))
        }

        fn append(&self, text: &str) {
            let mut file = File::options().create(true).append(true).open(&self.0).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn open(&self, options: InputOptions) -> Result<Input, InputError> {
            Input::open(&format!("t={}", self.0.display()).parse().unwrap(), options)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_followed_file_is_read_as_it_grows_is_truncated_and_is_replaced() {
        let scratch = Scratch::new();
        scratch.append("a\nb");
        let mut input = scratch.open(InputOptions { is_followed: true, ..LINES }).unwrap();
        assert_eq!(read_all(&mut input), ["a"], "a line without its end may still grow");
        assert_eq!(input.read(1, 9, &mut RecordBatch::new()).unwrap(), Progress::Waiting);
        scratch.append("c\nd\n");
        assert_eq!(read_all(&mut input), ["bc", "d"]);
        std::fs::write(&scratch.0, "e\n").unwrap();
        assert_eq!(read_all(&mut input), ["e"]);

        scratch.append("last");
        assert_eq!(read_all(&mut input), [""; 0]);
        let rotated = Scratch::new();
        std::fs::rename(&scratch.0, &rotated.0).unwrap();
        assert_eq!(read_all(&mut input), [""; 0], "no file has the name now");
        rotated.append(" words\nend");
        scratch.append("new\n");
        assert_eq!(read_all(&mut input), ["last words", "end", "new"]);
        scratch.append("newer\n");
        assert_eq!(read_all(&mut input), ["newer"]);
    }

    #[test]
    fn a_file_larger_than_a_block_is_read_in_parts() {
        let scratch = Scratch::new();
        let lines: Vec<String> = (0..40_000).map(|number| format!("line {number}")).collect();
        scratch.append(&lines.join("\n"));
        let mut input = scratch.open(LINES).unwrap();
        let mut batch = RecordBatch::new();
        assert_eq!(input.read(3, 9, &mut batch).unwrap(), Progress::Read(3));
        assert!(input.buffer.len() <= BLOCK_BYTES);
        let rest = read_all(&mut input);
        assert_eq!(values(&batch).into_iter().chain(rest).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn inputs_that_are_none_say_so() {
        let spec: InputSpec = "t=a=b".parse().unwrap();
        assert_eq!(spec.path, Some(PathBuf::from("a=b")));
        assert_eq!("t=-".parse::<InputSpec>().unwrap().path, None);
        for wrong in ["t", "=a", "t=", ""] {
            assert!(wrong.parse::<InputSpec>().unwrap_err().contains("use TOPIC=PATH"), "{wrong}");
        }
        let error = Scratch::new().open(JSON).err().unwrap().to_string();
        assert!(error.contains("can't be opened (") && error.contains("millstream-input-"), "{error}");
        let directory = InputSpec { topic: TopicName::from("t"), path: Some(std::env::temp_dir()) };
        assert!(Input::open(&directory, JSON).is_err());
    }
}
