//! Standard output and standard error, which become lines of the host's log, and standard input, which is at its end.
//!
//! Lines of standard output have the level `info`, those of standard error `warn`; they are bounded as the lines of `log.wit`
//! are. The standard error of a call is kept, too, and shown if the call traps: that is where Go's panics and Python's
//! tracebacks go.

use std::collections::VecDeque;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{stderr, stdin, stdout};
use wasmtime_wasi::p2::bindings::sync::io::streams;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};

use super::{HostState, clock};
use crate::imports::log::{Level, indented};
use crate::limits::{LOG_LINE_BYTES_MAX, STDERR_FIRST_LINES_MAX, STDERR_LAST_LINES_MAX};

/// Bytes that a guest may write at once.
const WRITE_BYTES_MAX: u64 = 64 * 1024;

/// The numbers of the streams, as guests hold them.
const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// What an instance writes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Lines that have not ended yet, of standard output and standard error.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The standard error of the call.
    said: Said,
}

/// The first lines and the last ones.
#[derive(Debug, Default)]
struct Said {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: usize,
}

impl Said {
    fn push(&mut self, line: String) {
        if self.first.len() < STDERR_FIRST_LINES_MAX {
            self.first.push(line);
            return;
        }
        if self.last.len() == STDERR_LAST_LINES_MAX {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(line);
    }
}

impl Output {
    pub(super) fn begin_call(&mut self) {
        if !self.said.first.is_empty() {
            self.said = Said::default();
        }
    }

    /// The lines that the call has written to standard error.
    pub(crate) fn take_stderr(&mut self) -> Vec<String> {
        let Said { mut first, last, left_out } = std::mem::take(&mut self.said);
        if left_out > 0 {
            first.push(format!("({left_out} lines are left out)"));
        }
        first.extend(last);
        first
    }
}

impl HostState {
    fn write(&mut self, stream: u32, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let open = self.open_line(stream);
            open.extend_from_slice(piece);
            if piece.ends_with(b"\n") || open.len() >= LOG_LINE_BYTES_MAX {
                self.end_line(stream);
            }
        }
    }

    fn open_line(&mut self, stream: u32) -> &mut Vec<u8> {
        let Output { stdout, stderr, .. } = &mut self.wasi().output;
        if stream == STDERR { stderr } else { stdout }
    }

    fn end_line(&mut self, stream: u32) {
        let mut open = std::mem::take(self.open_line(stream));
        let text = String::from_utf8_lossy(&open);
        let text = text.trim_end();
        if !text.is_empty() {
            self.log(if stream == STDERR { Level::Warn } else { Level::Info }, text);
            if stream == STDERR {
                let line = indented(text);
                self.wasi().output.said.push(line);
            }
        }
        open.clear();
        *self.open_line(stream) = open;
    }

    /// Ends the lines that the call has left open, so that they are seen with the call that wrote them.
    pub(crate) fn end_lines(&mut self) {
        for stream in [STDOUT, STDERR] {
            if self.wasi.is_some() && !self.open_line(stream).is_empty() {
                self.end_line(stream);
            }
        }
    }
}

impl stdin::Host for HostState {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        Ok(Resource::new_own(STDIN))
    }
}

impl stdout::Host for HostState {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        Ok(Resource::new_own(STDOUT))
    }
}

impl stderr::Host for HostState {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        Ok(Resource::new_own(STDERR))
    }
}

impl streams::Host for HostState {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            StreamError::LastOperationFailed(error) | StreamError::Trap(error) => Err(error),
        }
    }
}

/// Only standard input is ever read from.
impl streams::HostInputStream for HostState {
    fn read(&mut self, _stream: Resource<DynInputStream>, _length: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn blocking_read(&mut self, _stream: Resource<DynInputStream>, _length: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn skip(&mut self, _stream: Resource<DynInputStream>, _length: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn blocking_skip(&mut self, _stream: Resource<DynInputStream>, _length: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn subscribe(&mut self, _stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(clock::ready())
    }

    fn drop(&mut self, _stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// Standard output and standard error take everything at once.
impl streams::HostOutputStream for HostState {
    fn check_write(&mut self, _stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        Ok(WRITE_BYTES_MAX)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        HostState::write(self, stream.rep(), &bytes);
        Ok(())
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        HostState::write(self, stream.rep(), &bytes);
        Ok(())
    }

    fn flush(&mut self, _stream: Resource<DynOutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_flush(&mut self, _stream: Resource<DynOutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn subscribe(&mut self, _stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(clock::ready())
    }

    /// Zeros are no text.
    fn write_zeroes(&mut self, _stream: Resource<DynOutputStream>, _length: u64) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_write_zeroes_and_flush(
        &mut self,
        _stream: Resource<DynOutputStream>,
        _length: u64,
    ) -> StreamResult<()> {
        Ok(())
    }

    fn splice(
        &mut self,
        _to: Resource<DynOutputStream>,
        _from: Resource<DynInputStream>,
        _length: u64,
    ) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn blocking_splice(
        &mut self,
        _to: Resource<DynOutputStream>,
        _from: Resource<DynInputStream>,
        _length: u64,
    ) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn drop(&mut self, _stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}
