//! Functions for native operators: predicates for `filter` and key selectors for `group-by`.

use millstream_sdk::prelude::*;

/// Words of more than three letters.
fn is_long(record: &Record<'_>) -> Result<bool> {
    Ok(record.value_as::<&str>()?.chars().count() > 3)
}

fn has_value(record: &Record<'_>) -> Result<bool> {
    Ok(record.value().is_some())
}

/// The value's first letter; none for an empty value.
fn first_letter(record: &Record<'_>, keys: &mut Keys) -> Result<()> {
    let text: &str = record.value_as()?;
    if let Some(letter) = text.chars().next() {
        keys.set(letter.encode_utf8(&mut [0; 4]));
    }
    Ok(())
}

fn value(record: &Record<'_>, keys: &mut Keys) -> Result<()> {
    keys.set(record.value_as::<&[u8]>()?);
    Ok(())
}

millstream_sdk::export! {
    predicates: { "is-long" => is_long, "has-value" => has_value },
    key_selectors: { "first-letter" => first_letter, "value" => value },
}
