//! One bell for many queues: any of them, or another thread, ends the wait of a stream thread.

use std::ffi::c_void;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_core::port::Waker;
use rdkafka::bindings as c;

/// A flag with a condition variable. librdkafka rings it from its own threads when an empty queue gets its first entry.
#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Wakeup {
    /// Blocks until somebody rings, or has rung since the last wait, or `timeout` has passed.
    pub(crate) fn wait(&self, timeout: Duration) {
        let mut rung = self.lock();
        let start = Instant::now();
        while !*rung {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            rung = self.bell.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *rung = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waker for Wakeup {
    fn wake(&self) {
        let mut rung = self.lock();
        if !*rung {
            *rung = true;
            self.bell.notify_one();
        }
    }
}

/// What librdkafka calls when an empty queue gets an entry; `opaque` is a [`Wakeup`] that the queue's owner keeps alive.
pub(super) unsafe extern "C" fn on_queue_event(_: *mut c::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `Queue` keeps the `Wakeup` in an `Arc` until it has taken this callback away again.
    unsafe { &*opaque.cast::<Wakeup>() }.wake();
}
