//! Bytes that came from a store, shared instead of copied.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::view::View;

/// The longest bytes that are copied instead of shared.
const INLINE_MAX: usize = 16;

/// A key or a value from a store. Cloning it copies no more than a few bytes, and it may be kept for as long as needed.
#[derive(Clone)]
pub struct Bytes(Form);

#[derive(Clone)]
enum Form {
    Inline { length: u8, bytes: [u8; INLINE_MAX] },
    Shared { page: Rc<Vec<u8>>, start: u32, end: u32 },
}

impl Bytes {
    /// Part of a page.
    pub(crate) fn share(page: &Rc<Vec<u8>>, start: u32, end: u32) -> Self {
        let slice = &page[start as usize..end as usize];
        Self::inline(slice).unwrap_or_else(|| Self(Form::Shared { page: Rc::clone(page), start, end }))
    }

    /// A copy.
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        Self::inline(bytes).unwrap_or_else(|| {
            let page = Rc::new(bytes.to_vec());
            Self(Form::Shared { start: 0, end: page.len() as u32, page })
        })
    }

    fn inline(slice: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE_MAX];
        bytes.get_mut(..slice.len())?.copy_from_slice(slice);
        Some(Self(Form::Inline { length: slice.len() as u8, bytes }))
    }

    /// The bytes as `T`, as [`Record::value_as`](crate::Record::value_as).
    ///
    /// # Errors
    ///
    /// When they have another form; the policy of the plugin decides then.
    pub fn view<'a, T: View<'a>>(&'a self) -> Result<T> {
        T::view(Some(self)).map_err(|problem| Error::fatal(format_args!("what the store holds {problem}")))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Inline { length, bytes } => &bytes[..*length as usize],
            Form::Shared { page, start, end } => &page[*start as usize..*end as usize],
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}
