//! What plugins export, as typed calls, generated from `wit/`. Only exports: the generated form of an import copies
//! each list once more than it must, so the imports are served by hand in `imports/`.
#![allow(missing_docs, clippy::all, reason = "generated code")]

pub(crate) mod processor {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package millstream:host;
            world processor-exports { export millstream:processor/processor@0.1.0; }
        ",
        world: "millstream:host/processor-exports",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(crate) mod predicate {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package millstream:host;
            world predicate-exports { export millstream:processor/predicate@0.1.0; }
        ",
        world: "millstream:host/predicate-exports",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(crate) mod key_selector {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package millstream:host;
            world key-selector-exports { export millstream:processor/key-selector@0.1.0; }
        ",
        world: "millstream:host/key-selector-exports",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}
