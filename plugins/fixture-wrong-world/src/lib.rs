//! Bad on purpose: a component, but of another world than any of Millstream's.

#[allow(missing_docs, clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package elsewhere:transforms@1.0.0;

            interface transform {
                apply: func(input: list<u8>) -> list<u8>;
            }

            world transformer {
                export transform;
            }
        ",
    });
}

#[cfg(target_arch = "wasm32")]
mod component {
    use super::bindings::{self, exports::elsewhere::transforms::transform::Guest};

    struct Component;

    impl Guest for Component {
        fn apply(input: Vec<u8>) -> Vec<u8> {
            input
        }
    }

    bindings::export!(Component with_types_in bindings);
}
