//! The contract `wit/` as Rust, generated. Public for the macro [`export!`](crate::export) only.
#![allow(missing_docs, clippy::all, reason = "generated code")]

/// What a processor plugin imports and exports.
pub mod processor {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin-processor",
        ownership: Borrowing { duplicate_if_necessary: true },
        pub_export_macro: true,
        export_macro_name: "export_processor_world",
        default_bindings_module: "millstream_sdk::bindings::processor",
        runtime_path: "::millstream_sdk::wit_bindgen_runtime::rt",
    });
}

/// What a predicate plugin imports and exports.
pub mod predicate {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin-predicate",
        pub_export_macro: true,
        export_macro_name: "export_predicate_world",
        default_bindings_module: "millstream_sdk::bindings::predicate",
        runtime_path: "::millstream_sdk::wit_bindgen_runtime::rt",
    });
}

/// What a key selector plugin imports and exports.
pub mod key_selector {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin-key-selector",
        pub_export_macro: true,
        export_macro_name: "export_key_selector_world",
        default_bindings_module: "millstream_sdk::bindings::key_selector",
        runtime_path: "::millstream_sdk::wit_bindgen_runtime::rt",
    });
}
