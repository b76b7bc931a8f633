//! Bytes of keys and values, seen as the types that Kafka's serializers write.

use std::fmt;

/// Why bytes can't be seen as a type. Reads after "the key" or "the value".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub(crate) String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A type that the bytes of a key or a value can be seen as, borrowed where that is possible.
pub trait View<'a>: Sized {
    /// Sees bytes, or null, as this type.
    ///
    /// # Errors
    ///
    /// When they have another form.
    fn view(bytes: Option<&'a [u8]>) -> Result<Self, Problem>;
}

impl<'a, T: View<'a>> View<'a> for Option<T> {
    fn view(bytes: Option<&'a [u8]>) -> Result<Self, Problem> {
        bytes.map(|bytes| T::view(Some(bytes))).transpose()
    }
}

impl<'a> View<'a> for &'a [u8] {
    fn view(bytes: Option<&'a [u8]>) -> Result<Self, Problem> {
        not_null(bytes)
    }
}

/// As Kafka's `StringSerializer` writes it, in its default encoding.
impl<'a> View<'a> for &'a str {
    fn view(bytes: Option<&'a [u8]>) -> Result<Self, Problem> {
        std::str::from_utf8(not_null(bytes)?).map_err(|error| Problem(format!("is not UTF-8: {error}")))
    }
}

macro_rules! number {
    ($type:ty, $serializer:literal) => {
        #[doc = concat!("As Kafka's `", $serializer, "` writes it: big-endian.")]
        impl<'a> View<'a> for $type {
            fn view(bytes: Option<&'a [u8]>) -> Result<Self, Problem> {
                let bytes = not_null(bytes)?;
                let array = bytes.try_into().map_err(|_| {
                    Problem(format!("has {} bytes where {} are expected", bytes.len(), size_of::<$type>()))
                })?;
                Ok(<$type>::from_be_bytes(array))
            }
        }
    };
}

number!(i16, "ShortSerializer");
number!(i32, "IntegerSerializer");
number!(i64, "LongSerializer");
number!(f32, "FloatSerializer");
number!(f64, "DoubleSerializer");

pub(crate) fn not_null(bytes: Option<&[u8]>) -> Result<&[u8], Problem> {
    bytes.ok_or_else(|| Problem("is null".to_owned()))
}
