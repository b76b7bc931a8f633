//! A live instance of a component, and how it is called: with a deadline, with the task's context, and with its
//! failures told apart.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use millstream_core::context::ContextSlot;
use millstream_core::error::ProcessorFailure;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::failure::{Circumstances, classify, host_panic};
use crate::imports::{Asked, Granted, HostState, Log};
use crate::limits::{HANDLES_MAX, HOST_CALL_BYTES_MAX, InstanceLimits, TICK};
use crate::ticker::Ticker;

/// A wasmtime store with one instance in it. After a failure nothing can be called in it again.
pub(crate) struct Instance {
    store: Store<HostState>,
    ticker: Ticker,
    limits: InstanceLimits,
    digest: Arc<str>,
    /// Bytes of memory past which it should be replaced.
    recycle_bytes: usize,
}

impl Instance {
    /// Makes an instance, and lets `bind` find its exports.
    pub(crate) fn new<B>(
        ticker: &Ticker,
        pre: &InstancePre<HostState>,
        digest: &Arc<str>,
        limits: &InstanceLimits,
        log: Log,
        granted: Granted,
        bind: impl FnOnce(&mut Store<HostState>, &wasmtime::component::Instance) -> wasmtime::Result<B>,
    ) -> Result<(Self, B), ProcessorFailure> {
        let mut store = Store::new(pre.engine(), HostState::new(log, granted, limits));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        let recycle_bytes = limits.recycle_bytes;
        let mut instance =
            Self { store, ticker: ticker.clone(), limits: limits.clone(), digest: Arc::clone(digest), recycle_bytes };
        let bound = instance.call(None, |store| {
            let live = pre.instantiate(&mut *store)?;
            bind(store, &live)
        })?;
        instance.has_begun();
        Ok((instance, bound))
    }

    /// Calls the guest. While it runs, it has the task's context, if there is one.
    ///
    /// # Errors
    ///
    /// A trap or a limit. The instance is dead then, but the context is back in its slot, unless the host itself
    /// panicked.
    pub(crate) fn call<T>(
        &mut self,
        slot: Option<&mut ContextSlot>,
        call: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<T>,
    ) -> Result<T, ProcessorFailure> {
        let Self { store, ticker, limits, digest, .. } = self;
        let _running = ticker.call();
        // One tick more, because the first one may come at once.
        let ticks = limits.deadline.as_nanos().div_ceil(TICK.as_nanos()) + 1;
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
        let state = store.data_mut();
        state.begin_call();
        let mut slot = slot;
        if let Some(slot) = &mut slot {
            state.context = Some(slot.take());
        }
        // A panic must not take other tasks' threads down with it; what it may have left half done is never used again.
        let result = catch_unwind(AssertUnwindSafe(|| call(store)));
        let state = store.data_mut();
        state.end_call();
        if let (Some(slot), Some(context)) = (slot, state.context.take()) {
            slot.put(context);
        }
        let memory_refused = state.memory.take_refused();
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let circumstances = Circumstances {
                    last_words: state.log.take_last_words(),
                    stderr: state.take_stderr(),
                    memory_refused: memory_refused.map(|asked| (asked, limits.memory_bytes_max)),
                    deadline: limits.deadline,
                    digest: digest.to_string(),
                };
                Err(classify(&error, circumstances))
            }
            Err(panic) => Err(host_panic(panic.as_ref(), digest.to_string())),
        }
    }

    /// It is ready to work. What it needs for that is no reason to replace it, for its successor would need as much: where the mark
    /// is too low, it lies half-way between this and the bound.
    pub(crate) fn has_begun(&mut self) {
        let InstanceLimits { memory_bytes_max, recycle_bytes, .. } = self.limits;
        let begun = self.store.data().memory.bytes();
        let is_low = begun >= recycle_bytes;
        self.recycle_bytes = if is_low { begun + memory_bytes_max.saturating_sub(begun) / 2 } else { recycle_bytes };
    }

    /// Whether its memory has grown past the mark at which it should be replaced.
    pub(crate) fn wants_recycling(&self) -> bool {
        self.store.data().memory.bytes() > self.recycle_bytes
    }

    /// Bytes of its memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory.bytes()
    }

    /// The stores that it has asked for.
    pub(crate) fn asked_stores(&self) -> &Asked {
        self.store.data().state.names.asked()
    }

    /// The children that it has asked for.
    pub(crate) fn asked_children(&self) -> &Asked {
        self.store.data().children.asked()
    }

    /// The digest of its component.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }
}
