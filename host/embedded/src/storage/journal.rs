//! The journal: one append-only file of operations, replaced by a snapshot of itself when half of it is outdated.
//!
//! All partitions, groups and transactions share the file, so that a cut anywhere leaves a state that existed: a
//! transaction is there on all its partitions or on none.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use millstream_core::record::RecordBatch;
use millstream_core::{Error, Result};

use super::codec::{decode, encode};
use super::frame::{
    BODY_BYTES_MAX, FORMAT_VERSION, FRAME_HEAD_BYTES, HEADER_BYTES, HeaderError, begin_frame, checksum, contains_frame,
    end_frame, header, read_head, read_header,
};
use super::{Fsync, StorageOptions};
use crate::contents::{Contents, Operation};

/// Frames are handed to the operating system at each flush, and when so many bytes have gathered.
const BUFFER_BYTES: usize = 1 << 20;

/// A journal that is being written.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    number: u64,
    path: PathBuf,
    file: File,
    salt: u32,
    /// Frames that the operating system does not have yet.
    buffer: Vec<u8>,
    /// Whether the disk has all that the operating system has.
    is_synced: bool,
    /// The bytes of the file, without the buffer.
    length: u64,
    /// The length at which it is looked at whether a new journal would be smaller.
    rewrite_at: u64,
    options: StorageOptions,
    /// What went wrong once: afterwards nobody knows what the file's end is, so nothing more is written.
    failure: Option<String>,
}

impl Journal {
    /// Makes the journal `number` with a snapshot of `contents`, durable before it takes its name.
    pub fn create(
        directory: &Path,
        number: u64,
        salt: u32,
        contents: &Contents,
        options: StorageOptions,
    ) -> Result<Self> {
        let path = directory.join(file_name(number));
        let unfinished = path.with_extension("unfinished");
        let file = File::create(&unfinished).map_err(|error| failed(&unfinished, "can't be created", error))?;
        let mut journal = Self {
            directory: directory.to_owned(),
            number,
            path: unfinished.clone(),
            file,
            salt,
            buffer: header(salt).to_vec(),
            is_synced: false,
            length: 0,
            rewrite_at: 0,
            options,
            failure: None,
        };
        contents.snapshot(&mut |operation| journal.append(operation))?;
        journal.write_buffer()?;
        journal.sync()?;
        fs::rename(&unfinished, &path).map_err(|error| failed(&unfinished, "can't be renamed", error))?;
        sync_directory(directory)?;
        journal.path = path;
        journal.plan_rewrite(contents);
        Ok(journal)
    }

    /// Opens the journal `number`, replays it into `contents` and cuts a torn end off. Returns how many bytes that
    /// were.
    pub fn open(
        directory: &Path,
        number: u64,
        contents: &mut Contents,
        options: StorageOptions,
    ) -> Result<(Self, u64)> {
        let path = directory.join(file_name(number));
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| failed(&path, "can't be opened", error))?;
        let found = file.metadata().map_err(|error| failed(&path, "can't be read", error))?.len();
        let salt = read_salt(&mut file, &path)?;
        let length = replay(&mut file, &path, salt, found, contents)?;
        if length < found {
            file.set_len(length).map_err(|error| failed(&path, "can't be cut to its whole frames", error))?;
            file.sync_all().map_err(|error| failed(&path, "can't be synchronised", error))?;
        }
        file.seek(SeekFrom::Start(length)).map_err(|error| failed(&path, "can't be written", error))?;
        let mut journal = Self {
            directory: directory.to_owned(),
            number,
            path,
            file,
            salt,
            buffer: Vec::new(),
            is_synced: false,
            length,
            rewrite_at: 0,
            options,
            failure: None,
        };
        journal.rewrite_at = journal.options.rewrite_bytes_min;
        Ok((journal, found - length))
    }

    /// Appends an operation. It may stay in memory until [`Self::flush`].
    pub fn append(&mut self, operation: &Operation<'_>) -> Result<()> {
        self.check()?;
        let start = begin_frame(&mut self.buffer);
        encode(operation, &mut self.buffer);
        if self.buffer.len() - start - FRAME_HEAD_BYTES > BODY_BYTES_MAX {
            self.buffer.truncate(start);
            return Err(Error::fatal("more than 1 GiB of records can't be appended at once; append fewer"));
        }
        end_frame(&mut self.buffer, start, self.salt);
        if self.buffer.len() >= BUFFER_BYTES { self.write_buffer() } else { Ok(()) }
    }

    /// Hands everything to the operating system, and to the disk if it was asked for: what was appended survives the
    /// process.
    pub fn flush(&mut self) -> Result<()> {
        self.check()?;
        if !self.buffer.is_empty() {
            self.write_buffer()?;
        }
        match self.options.fsync {
            Fsync::OnCommit if !self.is_synced => self.sync(),
            Fsync::OnCommit | Fsync::Never => Ok(()),
        }
    }

    /// Whether a snapshot would take less than half of the file.
    pub fn is_outdated(&mut self, contents: &Contents) -> bool {
        if self.length < self.rewrite_at {
            return false;
        }
        let is_outdated = contents.bytes() as u64 * 2 <= self.length;
        self.plan_rewrite(contents);
        is_outdated
    }

    /// Replaces the journal by a snapshot of `contents`, which hold all that was appended.
    pub fn rewrite(&mut self, contents: &Contents, salt: u32) -> Result<()> {
        self.check()?;
        let next = match Self::create(&self.directory, self.number + 1, salt, contents, self.options) {
            Ok(next) => next,
            Err(error) => return Err(self.fail(error)),
        };
        let former = std::mem::replace(self, next);
        let path = former.path.clone();
        drop(former);
        fs::remove_file(&path).map_err(|error| failed(&path, "can't be deleted", error))
    }

    fn plan_rewrite(&mut self, contents: &Contents) {
        let doubled = self.length.max(contents.bytes() as u64) * 2;
        self.rewrite_at = doubled.max(self.options.rewrite_bytes_min);
    }

    fn check(&self) -> Result<()> {
        match &self.failure {
            Some(failure) => Err(Error::fatal(format!("the embedded log stopped: {failure}"))),
            None => Ok(()),
        }
    }

    fn write_buffer(&mut self) -> Result<()> {
        if let Err(error) = self.file.write_all(&self.buffer) {
            return Err(self.fail(failed(&self.path, "can't be written", error)));
        }
        self.is_synced = false;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        match self.file.sync_data() {
            Ok(()) => {
                self.is_synced = true;
                Ok(())
            }
            Err(error) => Err(self.fail(failed(&self.path, "can't be synchronised", error))),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failure = Some(error.to_string());
        error
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // What was not flushed was promised to nobody, so that a failure here loses nothing.
        let _ = self.flush();
    }
}

/// The name of the journal `number`.
pub(crate) fn file_name(number: u64) -> String {
    format!("journal-{number:010}.log")
}

/// Synchronises the names in a directory.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed(directory, "can't be synchronised", error))
}

/// An error of the operating system about `path`.
pub(crate) fn failed(path: &Path, what: &str, error: std::io::Error) -> Error {
    let message = format!("`{}` {what} ({error}); check the disk and the permissions", path.display());
    Error::fatal(message).caused_by(error)
}

fn read_salt(file: &mut File, path: &Path) -> Result<u32> {
    let mut bytes = Vec::new();
    let read = Read::by_ref(file).take(HEADER_BYTES as u64).read_to_end(&mut bytes);
    read.map_err(|error| failed(path, "can't be read", error))?;
    read_header(&bytes).map_err(|error| match error {
        HeaderError::Damaged => Error::fatal(format!(
            "`{}` is damaged: it does not begin as a journal of the embedded log; put a copy back, or \
             delete the directory to begin anew",
            path.display()
        )),
        HeaderError::Version(version) => Error::fatal(format!(
            "`{}` has format version {version}, and this program reads {FORMAT_VERSION}; use the program that \
             wrote it, or delete the directory to begin anew",
            path.display()
        )),
    })
}

/// Replays the frames of `file` and returns where the last whole one ends.
fn replay(file: &mut File, path: &Path, salt: u32, length: u64, contents: &mut Contents) -> Result<u64> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, &mut *file);
    let mut position = HEADER_BYTES as u64;
    let mut body = Vec::new();
    let mut records = RecordBatch::new();
    loop {
        let left = length - position;
        let is_whole =
            read_frame(&mut reader, left, salt, &mut body).map_err(|error| failed(path, "can't be read", error))?;
        if !is_whole {
            break;
        }
        let applied = decode(&body, &mut records).map(|operation| contents.apply(&operation));
        match applied {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(damaged(path, position).caused_by(error)),
            None => return Err(damaged(path, position)),
        }
        position += (FRAME_HEAD_BYTES + body.len()) as u64;
    }
    drop(reader);
    if position < length {
        check_torn(file, path, salt, position)?;
    }
    Ok(position)
}

/// Reads the next frame's body; `false` when the `left` bytes of the file do not begin with a whole frame.
fn read_frame(reader: &mut impl Read, left: u64, salt: u32, body: &mut Vec<u8>) -> std::io::Result<bool> {
    if left < FRAME_HEAD_BYTES as u64 {
        return Ok(false);
    }
    let mut head = [0; FRAME_HEAD_BYTES];
    reader.read_exact(&mut head)?;
    let Some((length, crc)) = read_head(&head) else { return Ok(false) };
    if left - (FRAME_HEAD_BYTES as u64) < length as u64 {
        return Ok(false);
    }
    body.resize(length, 0);
    reader.read_exact(body)?;
    Ok(checksum(salt, body) == crc)
}

/// A file that is not whole from `position` on is torn if nothing whole follows, and damaged otherwise.
fn check_torn(file: &mut File, path: &Path, salt: u32, position: u64) -> Result<()> {
    let mut rest = Vec::new();
    let read = file.seek(SeekFrom::Start(position + 1)).and_then(|_| file.read_to_end(&mut rest));
    read.map_err(|error| failed(path, "can't be read", error))?;
    if contains_frame(&rest, salt) { Err(damaged(path, position)) } else { Ok(()) }
}

fn damaged(path: &Path, position: u64) -> Error {
    Error::fatal(format!(
        "`{}` is damaged at byte {position}; put a copy back, or give up everything from there on by cutting \
         the file to {position} bytes",
        path.display()
    ))
}
