//! Keys and values as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::view::{Problem, View, not_null};

/// Bytes to begin a text with.
const TEXT_BYTES: usize = 1024;

/// JSON, read into `T`: `let Json(order) = record.value_as::<Json<Order>>()?`. `T` may borrow from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<'a, T: Deserialize<'a>> View<'a> for Json<T> {
    fn view(bytes: Option<&'a [u8]>) -> Result<Self, Problem> {
        // As text, which is checked at once: from bytes each string in them would be checked for itself.
        let text = std::str::from_utf8(not_null(bytes)?).map_err(problem)?;
        serde_json::from_str(text).map(Json).map_err(problem)
    }
}

fn problem(error: impl fmt::Display) -> Problem {
    Problem(format!("is not the JSON that is expected: {error}"))
}

/// Writes `value` as JSON: `context.forward(record.with_value(&to_json(&order)?))`.
///
/// # Errors
///
/// When the type can't be written as JSON; the policy of the plugin decides then.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = Vec::with_capacity(TEXT_BYTES);
    serde_json::to_writer(&mut text, value)?;
    Ok(text)
}
