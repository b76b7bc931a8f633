//! Makes the deadlines of calls pass, and sleeps while there is none: an idle process must not wake a hundred times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use millstream_core::error::{Error, Result};
use wasmtime::EngineWeak;

use crate::limits::TICK;

/// After so many ticks without a call it sleeps: to be woken costs a call more than to be ticked at.
const TICKS_BEFORE_SLEEP: u32 = 10;
/// How often it looks in its sleep whether anybody has the engine still.
const LOOK: Duration = Duration::from_secs(1);

/// The thread that advances an engine's epoch. It ends with the engine's last user.
#[derive(Clone)]
pub(crate) struct Ticker {
    calls: Arc<Calls>,
    thread: Thread,
}

#[derive(Default)]
struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
    is_asleep: AtomicBool,
}

impl Calls {
    /// The calls that have begun, if they have all ended.
    fn begun_if_none_runs(&self) -> Option<u64> {
        // In this order: a call that begins in between is not taken for one that has ended.
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}

/// A call; it has ended when this is dropped.
pub(crate) struct Running<'a>(&'a Calls);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// `Fatal` when it can't be started.
    pub(crate) fn start(engine: EngineWeak) -> Result<Self> {
        let calls = Arc::new(Calls::default());
        let of_thread = Arc::clone(&calls);
        let spawned = thread::Builder::new().name("wasm-ticker".to_owned()).spawn(move || tick(&engine, &of_thread));
        let spawned = spawned
            .map_err(|error| Error::fatal("the thread for plugins' deadlines can't be started").caused_by(error))?;
        Ok(Self { calls, thread: spawned.thread().clone() })
    }

    /// A call begins; from now on there are ticks.
    pub(crate) fn call(&self) -> Running<'_> {
        self.calls.begun.fetch_add(1, Ordering::SeqCst);
        if self.calls.is_asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(&self.calls)
    }
}

fn tick(engine: &EngineWeak, calls: &Calls) {
    let (mut last, mut idle) = (None, 0);
    loop {
        thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        let now = calls.begun_if_none_runs();
        idle = if now.is_some() && now == last { idle + 1 } else { 0 };
        last = now;
        drop(engine);
        if idle >= TICKS_BEFORE_SLEEP {
            // First said, then looked once more: a call either sees that it must wake us, or is seen.
            calls.is_asleep.store(true, Ordering::SeqCst);
            if calls.begun_if_none_runs() == now {
                thread::park_timeout(LOOK);
            }
            calls.is_asleep.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use wasmtime::{Config, Engine, Instance, Module, Store, Trap};

    use super::*;

    fn await_sleep(ticker: &Ticker) {
        let begin = Instant::now();
        while !ticker.calls.is_asleep.load(Ordering::SeqCst) {
            assert!(begin.elapsed() < Duration::from_secs(10), "nobody calls, and it doesn't sleep");
            thread::sleep(TICK);
        }
    }

    #[test]
    fn a_deadline_passes_although_the_ticker_was_asleep_when_the_call_began() {
        let engine = Engine::new(Config::new().epoch_interruption(true)).expect("an engine");
        let ticker = Ticker::start(engine.weak()).expect("a thread");
        // (module (func (export "spin") (loop br 0)))
        let endless = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x08\x01\x04spin\0\0\
            \x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";
        let endless = Module::from_binary(&engine, endless).expect("a module");
        for _ in 0..3 {
            await_sleep(&ticker);
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &endless, &[]).expect("an instance");
            let spin = instance.get_typed_func::<(), ()>(&mut store, "spin").expect("it is exported");
            let running = ticker.call();
            store.set_epoch_deadline(3);
            let trap = spin.call(&mut store, ()).expect_err("it never ends by itself");
            assert_eq!(trap.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
            drop(running);
        }
    }
}
