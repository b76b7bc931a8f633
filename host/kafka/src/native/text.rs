//! Text on its way to and from C.

use std::ffi::{CStr, CString, c_char};

/// Copies C text; a null pointer is the empty text.
///
/// # Safety
///
/// `text` is null or points to text ended by a zero, which nobody changes during the call.
pub(super) unsafe fn copy(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and by the contract of this function.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Text for C. A zero inside ends it early: no name of Kafka contains one.
pub(super) fn to_c(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// Room for a reason that librdkafka writes.
pub(super) struct Reason([c_char; 512]);

impl Reason {
    pub(super) fn new() -> Self {
        Self([0; 512])
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_text(mut self) -> String {
        let last = self.0.len() - 1;
        self.0[last] = 0;
        // SAFETY: the array lives here and ends with a zero.
        unsafe { copy(self.0.as_ptr()) }
    }
}
