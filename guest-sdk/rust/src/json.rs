//! Keys and values as JSON.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::view::{Problem, View, not_null};

/// JSON, read into `T`: `let Json(order) = record.value_as::<Json<Order>>()?`. `T` may borrow from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<'a, T: Deserialize<'a>> View<'a> for Json<T> {
    fn view(bytes: Option<&'a [u8]>) -> Result<Self, Problem> {
        let value = serde_json::from_slice(not_null(bytes)?);
        value.map(Json).map_err(|error| Problem(format!("is not the JSON that is expected: {error}")))
    }
}

/// Writes `value` as JSON: `context.forward(record.with_value(&to_json(&order)?))`.
///
/// # Errors
///
/// When the type can't be written as JSON; the policy of the plugin decides then.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}
