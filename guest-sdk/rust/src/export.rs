//! How a plugin's types become the exports of a component.

use std::cell::RefCell;

use crate::bindings::key_selector::exports::millstream::processor::key_selector as key_selector_world;
use crate::bindings::predicate::exports::millstream::processor::predicate as predicate_world;
use crate::bindings::processor::exports::millstream::processor::processor as processor_world;
use crate::bindings::processor::millstream::processor::types::{BatchResult, PunctuationType as PunctuationTypeOnWire};
use crate::bindings::{key_selector, predicate};
use crate::columns::OwnedColumns;
use crate::context::{Context, Punctuation, PunctuationType};
use crate::error::{Error, Reaction, Result};
use crate::function::Keys;
use crate::log::log_panics;
use crate::processor::Processor;
use crate::setup::Setup;
use crate::{Batch, Timestamp};

/// Exports processors, predicates and key selectors as a component. Each has the name that a manifest calls it by.
///
/// ```
/// # use millstream_sdk::prelude::*;
/// # struct Split;
/// # impl Processor for Split {
/// #     fn init(_: &mut Setup) -> Result<Self> { Ok(Self) }
/// #     fn process(&mut self, _: Record<'_>, _: &mut Context) -> Result<()> { Ok(()) }
/// # }
/// fn is_long(record: &Record<'_>) -> Result<bool> {
///     Ok(record.value_as::<&str>()?.len() > 20)
/// }
///
/// millstream_sdk::export! {
///     processors: { "split" => Split },
///     predicates: { "is-long" => is_long },
///     key_selectors: { "by-value" => |record, keys| Ok(keys.set(record.value_as::<&[u8]>()?)) },
/// }
/// ```
#[macro_export]
macro_rules! export {
    (
        $(processors: { $($processor:literal => $type:ty),+ $(,)? } $(,)?)?
        $(predicates: { $($predicate:literal => $test:expr),+ $(,)? } $(,)?)?
        $(key_selectors: { $($selector:literal => $select:expr),+ $(,)? } $(,)?)?
    ) => {
        $(const _: () = {
            struct Plugin;
            impl $crate::export::Processors for Plugin {
                const NAMES: &'static [&'static str] = &[$($processor),+];
                fn begin(
                    name: &str,
                    setup: &mut $crate::Setup<'_>,
                ) -> $crate::Result<Box<dyn $crate::export::AnyProcessor>> {
                    match name {
                        $($processor => $crate::export::begin::<$type>(setup),)+
                        _ => Err($crate::export::unknown("processor", name, Self::NAMES)),
                    }
                }
            }
            type Exported = $crate::export::ProcessorExports<Plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::processor::export_processor_world!(
                Exported with_types_in $crate::bindings::processor
            );
            #[cfg(not(target_arch = "wasm32"))]
            const _: Option<Exported> = None;
        };)?
        $(const _: () = {
            struct Plugin;
            impl $crate::export::Predicates for Plugin {
                const NAMES: &'static [&'static str] = &[$($predicate),+];
                fn test(name: &str, batch: $crate::Batch<'_>) -> $crate::Result<Vec<u8>> {
                    match name {
                        $($predicate => $crate::export::test(batch, $test),)+
                        _ => Err($crate::export::unknown("predicate", name, Self::NAMES)),
                    }
                }
            }
            type Exported = $crate::export::PredicateExports<Plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::predicate::export_predicate_world!(
                Exported with_types_in $crate::bindings::predicate
            );
            #[cfg(not(target_arch = "wasm32"))]
            const _: Option<Exported> = None;
        };)?
        $(const _: () = {
            struct Plugin;
            impl $crate::export::KeySelectors for Plugin {
                const NAMES: &'static [&'static str] = &[$($selector),+];
                fn select(name: &str, batch: $crate::Batch<'_>) -> $crate::Result<$crate::Keys> {
                    match name {
                        $($selector => $crate::export::select(batch, $select),)+
                        _ => Err($crate::export::unknown("key selector", name, Self::NAMES)),
                    }
                }
            }
            type Exported = $crate::export::KeySelectorExports<Plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::key_selector::export_key_selector_world!(
                Exported with_types_in $crate::bindings::key_selector
            );
            #[cfg(not(target_arch = "wasm32"))]
            const _: Option<Exported> = None;
        };)?
    };
}

/// A processor whose type is forgotten.
pub trait AnyProcessor {
    fn process_batch(&mut self, batch: &Batch<'_>, context: &mut Context);
    fn punctuate(
        &mut self,
        punctuation: Punctuation,
        kind: PunctuationType,
        timestamp: Timestamp,
        context: &mut Context,
    ) -> Result<()>;
    fn close(&mut self);
}

impl<P: Processor> AnyProcessor for P {
    fn process_batch(&mut self, batch: &Batch<'_>, context: &mut Context) {
        Processor::process_batch(self, batch, context);
    }

    fn punctuate(
        &mut self,
        punctuation: Punctuation,
        kind: PunctuationType,
        timestamp: Timestamp,
        context: &mut Context,
    ) -> Result<()> {
        Processor::punctuate(self, punctuation, kind, timestamp, context)
    }

    fn close(&mut self) {
        Processor::close(self);
    }
}

/// Begins a processor of type `P`.
pub fn begin<P: Processor>(setup: &mut Setup<'_>) -> Result<Box<dyn AnyProcessor>> {
    Ok(Box::new(P::init(setup)?))
}

/// The host asked for something that the plugin doesn't have.
pub fn unknown(kind: &str, name: &str, names: &[&str]) -> Error {
    Error::fatal(format_args!("there is no {kind} `{name}` in this plugin, but {names:?}"))
}

/// A processor that has begun, and its context.
pub struct Running {
    processor: Box<dyn AnyProcessor>,
    context: Context,
}

impl Running {
    /// Begins what `begin` makes.
    pub(crate) fn begin(
        setup: processor_world::Setup,
        begin: impl FnOnce(&mut Setup<'_>) -> Result<Box<dyn AnyProcessor>>,
    ) -> Result<Self> {
        let mut context = Context::default();
        let processor_world::Setup { processor, node, task, config, children, stores } = setup;
        let mut setup = Setup { processor, node, task, config, children, stores, context: &mut context };
        let processor = begin(&mut setup)?;
        context.end();
        Ok(Self { processor, context })
    }

    pub(crate) fn process(&mut self, records: &OwnedColumns) -> Vec<(u32, Error)> {
        let batch = Batch::new(records);
        self.context.begin_batch(&batch);
        self.processor.process_batch(&batch, &mut self.context);
        self.context.end();
        self.context.take_failures()
    }

    pub(crate) fn punctuate(&mut self, id: u32, kind: PunctuationType, timestamp: Timestamp) -> Result<()> {
        let Self { processor, context } = self;
        context.begin_punctuation(timestamp);
        let own = context.call_punctuator(Punctuation(id), timestamp);
        let result = own.unwrap_or_else(|| processor.punctuate(Punctuation(id), kind, timestamp, context));
        if result.is_err() {
            context.take_back_punctuation();
        }
        context.end();
        result
    }

    pub(crate) fn close(&mut self) {
        self.processor.close();
    }
}

thread_local! {
    /// The processor of this instance.
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

fn with_running<T>(call: impl FnOnce(&mut Running) -> T) -> T {
    RUNNING.with_borrow_mut(|running| call(running.as_mut().expect("the host calls `init` first")))
}

/// The processors of a plugin.
pub trait Processors {
    const NAMES: &'static [&'static str];
    fn begin(name: &str, setup: &mut Setup<'_>) -> Result<Box<dyn AnyProcessor>>;
}

/// The exports of world `plugin-processor`.
pub struct ProcessorExports<P>(std::marker::PhantomData<P>);

impl<P: Processors> processor_world::Guest for ProcessorExports<P> {
    fn processors() -> Vec<String> {
        P::NAMES.iter().map(|name| (*name).to_owned()).collect()
    }

    fn init(setup: processor_world::Setup) -> Result<(), String> {
        log_panics();
        let name = setup.processor.clone();
        let running = Running::begin(setup, |setup| P::begin(&name, setup)).map_err(|error| error.to_string())?;
        RUNNING.set(Some(running));
        Ok(())
    }

    fn process(records: BatchResult) -> Vec<processor_world::Failure> {
        let failures = with_running(|running| running.process(&owned(records)));
        let on_wire = |(row, error)| processor_world::Failure { row, reaction: reaction_on_wire(&error) };
        failures.into_iter().map(on_wire).collect()
    }

    fn punctuate(id: u32, kind: PunctuationTypeOnWire, timestamp: i64) -> Result<(), processor_world::Reaction> {
        let kind = match kind {
            PunctuationTypeOnWire::StreamTime => PunctuationType::StreamTime,
            PunctuationTypeOnWire::WallClockTime => PunctuationType::WallClockTime,
        };
        with_running(|running| running.punctuate(id, kind, timestamp)).map_err(|error| reaction_on_wire(&error))
    }

    fn close() {
        with_running(Running::close);
    }
}

fn reaction_on_wire(error: &Error) -> processor_world::Reaction {
    let reason = error.reason().to_owned();
    match error.reaction() {
        Reaction::Skip => processor_world::Reaction::Skip(reason),
        Reaction::DeadLetter => processor_world::Reaction::DeadLetter(reason),
        Reaction::Retry => processor_world::Reaction::Retry(reason),
        Reaction::Fatal => processor_world::Reaction::Fatal(reason),
    }
}

fn owned(records: BatchResult) -> OwnedColumns {
    let BatchResult { keys, key_ends, values, value_ends, timestamps, nulls, headers } = records;
    OwnedColumns { keys, key_ends, values, value_ends, timestamps, nulls, headers }
}

/// The predicates of a plugin.
pub trait Predicates {
    const NAMES: &'static [&'static str];
    fn test(name: &str, batch: Batch<'_>) -> Result<Vec<u8>>;
}

/// Asks a predicate about each record.
pub fn test(
    batch: Batch<'_>,
    predicate: impl for<'a, 'b> Fn(&'a crate::Record<'b>) -> Result<bool>,
) -> Result<Vec<u8>> {
    batch.records().map(|(_, record)| predicate(&record).map(u8::from)).collect()
}

/// The exports of world `plugin-predicate`.
pub struct PredicateExports<P>(std::marker::PhantomData<P>);

impl<P: Predicates> predicate_world::Guest for PredicateExports<P> {
    fn predicates() -> Vec<String> {
        P::NAMES.iter().map(|name| (*name).to_owned()).collect()
    }

    fn test(function: String, records: predicate::millstream::processor::types::Batch) -> Result<Vec<u8>, String> {
        log_panics();
        let predicate::millstream::processor::types::Batch {
            keys,
            key_ends,
            values,
            value_ends,
            timestamps,
            nulls,
            headers,
        } = records;
        let columns = OwnedColumns { keys, key_ends, values, value_ends, timestamps, nulls, headers };
        P::test(&function, Batch::new(&columns)).map_err(|error| error.to_string())
    }
}

/// The key selectors of a plugin.
pub trait KeySelectors {
    const NAMES: &'static [&'static str];
    fn select(name: &str, batch: Batch<'_>) -> Result<Keys>;
}

/// Chooses a key for each record.
pub fn select(
    batch: Batch<'_>,
    selector: impl for<'a, 'b, 'c> Fn(&'a crate::Record<'b>, &'c mut Keys) -> Result<()>,
) -> Result<Keys> {
    let mut keys = Keys::default();
    for (_, record) in batch.records() {
        selector(&record, &mut keys)?;
        keys.next();
    }
    Ok(keys)
}

/// The exports of world `plugin-key-selector`.
pub struct KeySelectorExports<P>(std::marker::PhantomData<P>);

impl<P: KeySelectors> key_selector_world::Guest for KeySelectorExports<P> {
    fn key_selectors() -> Vec<String> {
        P::NAMES.iter().map(|name| (*name).to_owned()).collect()
    }

    fn select_key(
        function: String,
        records: key_selector::millstream::processor::types::Batch,
    ) -> Result<key_selector_world::Keys, String> {
        log_panics();
        let key_selector::millstream::processor::types::Batch {
            keys,
            key_ends,
            values,
            value_ends,
            timestamps,
            nulls,
            headers,
        } = records;
        let columns = OwnedColumns { keys, key_ends, values, value_ends, timestamps, nulls, headers };
        let chosen = P::select(&function, Batch::new(&columns)).map_err(|error| error.to_string())?;
        Ok(key_selector_world::Keys { keys: chosen.keys, key_ends: chosen.key_ends, nulls: chosen.nulls })
    }
}
