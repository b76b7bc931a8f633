//! The contract, carried in the program, so that modules which say nothing of it can be given it.

/// The files of `wit/`, by name.
pub const WIT_FILES: [(&str, &str); 8] = [
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("processor.wit", include_str!("../../../wit/processor.wit")),
    ("predicate.wit", include_str!("../../../wit/predicate.wit")),
    ("key-selector.wit", include_str!("../../../wit/key-selector.wit")),
    ("context.wit", include_str!("../../../wit/context.wit")),
    ("state.wit", include_str!("../../../wit/state.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("world.wit", include_str!("../../../wit/world.wit")),
];

/// The worlds that a plugin can be made for.
pub const WORLDS: [&str; 3] = ["plugin-processor", "plugin-predicate", "plugin-key-selector"];
