//! Error codes and error objects.

use std::ffi::c_char;
use std::fmt;

use rdkafka::bindings as c;

use super::text;

/// An error code: Kafka's own are positive, librdkafka's are negative. Kept as a number, because a broker may send a code
/// that the bindings do not know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ErrorCode(pub(crate) i32);

// The bindings take a Rust `enum` here, in which an unknown code would be undefined behaviour.
unsafe extern "C" {
    fn rd_kafka_err2name(err: i32) -> *const c_char;
    fn rd_kafka_err2str(err: i32) -> *const c_char;
}

impl ErrorCode {
    /// No error.
    pub(crate) const OK: Self = Self(0);

    /// Whether there is no error.
    pub(crate) fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// Whether this is the code `known` of the bindings.
    pub(crate) fn is(self, known: c::rd_kafka_resp_err_t) -> bool {
        self.0 == known as i32
    }

    /// The code's name, such as `_TRANSPORT` or `UNKNOWN_MEMBER_ID`.
    pub(crate) fn name(self) -> String {
        // SAFETY: takes any number; returns text in static memory.
        unsafe { text::copy(rd_kafka_err2name(self.0)) }
    }

    /// What librdkafka says of the code.
    pub(crate) fn text(self) -> String {
        // SAFETY: as above.
        unsafe { text::copy(rd_kafka_err2str(self.0)) }
    }

    /// `Err` unless this is no error.
    pub(crate) fn check(self) -> Result<(), NativeError> {
        if self.is_ok() { Ok(()) } else { Err(self.into()) }
    }
}

impl From<c::rd_kafka_resp_err_t> for ErrorCode {
    fn from(code: c::rd_kafka_resp_err_t) -> Self {
        Self(code as i32)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// A foreign error: a code, and what librdkafka says of this occurrence.
#[derive(Clone, Debug)]
pub(crate) struct NativeError {
    pub(crate) code: ErrorCode,
    pub(crate) text: String,
}

impl From<ErrorCode> for NativeError {
    fn from(code: ErrorCode) -> Self {
        Self { code, text: code.text() }
    }
}

impl From<c::rd_kafka_resp_err_t> for NativeError {
    fn from(code: c::rd_kafka_resp_err_t) -> Self {
        ErrorCode::from(code).into()
    }
}

impl NativeError {
    /// Whether the object is in another state than the call needs.
    pub(crate) fn is_wrong_state(&self) -> bool {
        self.code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__STATE)
    }

    /// Whether it says no more than that nothing works.
    pub(crate) fn is_all_brokers_down(&self) -> bool {
        self.code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
    }

    /// Whether the answer did not come in time.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT)
    }

    /// An error for an answer that did not come.
    pub(crate) fn timed_out() -> Self {
        c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT.into()
    }
}

/// Whether there is no such topic.
pub(crate) fn is_unknown_topic_code(code: ErrorCode) -> bool {
    code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
}

/// Whether there is such a topic already.
pub(crate) fn is_topic_exists_code(code: ErrorCode) -> bool {
    code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
}

/// Whether the code only says that there is a fatal error, which the client has to be asked for.
pub(crate) fn is_fatal_code(code: ErrorCode) -> bool {
    code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__FATAL)
}

/// Whether a rebalance with this code gives partitions; otherwise it takes them.
pub(crate) fn is_assign_code(code: ErrorCode) -> bool {
    code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
}

impl fmt::Display for NativeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Delivery reports come without a text.
        if self.text.is_empty() {
            return f.write_str(&self.code.name());
        }
        write!(f, "{} ({})", self.text, self.code.name())
    }
}

impl std::error::Error for NativeError {}

/// Takes an error object over and frees it; a null pointer is no error.
///
/// # Safety
///
/// `error` is null or an error object that the caller owns.
pub(super) unsafe fn take_error(error: *mut c::rd_kafka_error_t) -> Result<(), NativeError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: not null and owned, by the contract; its text is copied before it is destroyed.
    unsafe {
        let code = ErrorCode::from(c::rd_kafka_error_code(error));
        let text = text::copy(c::rd_kafka_error_string(error));
        c::rd_kafka_error_destroy(error);
        Err(NativeError { code, text })
    }
}
