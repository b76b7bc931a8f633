//! What may be longer than the rules say, each with its reason.

/// Path, function, reason.
pub const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Path, reason.
pub const LONG_FILES: &[(&str, &str)] = &[];
