//! The host's random bytes for the crate `getrandom`, and so for `rand`, `uuid` and others: what it calls when it is told to
//! use a custom source. With the feature `getrandom` only, because the linker keeps these functions in each plugin.

use std::num::NonZero;

use crate::bindings::wasi::wasi::random::random::get_random_bytes;

/// What `getrandom` 0.3 and later call with `--cfg getrandom_backend="custom"`.
///
/// # Safety
///
/// `length` bytes can be written at `bytes`.
// `getrandom` gives its error as a struct around a number that isn't 0, which crosses as the number. It never comes from here.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(bytes: *mut u8, length: usize) -> Result<(), NonZero<i32>> {
    let random = get_random_bytes(length as u64);
    assert_eq!(random.len(), length, "the host gives as many bytes as it is asked for");
    // SAFETY: the caller promises the place, and the assertion the length.
    unsafe { bytes.copy_from_nonoverlapping(random.as_ptr(), length) };
    Ok(())
}

/// What `getrandom` 0.2 calls with its feature `custom`; 0 means that all went well.
///
/// # Safety
///
/// As [`__getrandom_v03_custom`].
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_custom(bytes: *mut u8, length: usize) -> u32 {
    // SAFETY: the caller promises the same.
    unsafe { __getrandom_v03_custom(bytes, length) }.map_or_else(|error| error.get().cast_unsigned(), |()| 0)
}
