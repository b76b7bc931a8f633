//! Inputs: lines of words and keyed orders, the same for the same seed, written at once or bit by bit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::client::{KafkaRecord, TestProducer};

/// Different words in the lines, and different keys of orders.
const VOCABULARY: usize = 2_000;
/// Words in a line.
const WORDS_A_LINE: std::ops::RangeInclusive<usize> = 2..=6;

/// Now, in milliseconds: inputs have the timestamps of today, since topics forget what is old.
///
/// # Panics
///
/// Before 1970.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as i64
}

/// One of the vocabulary's words; some are much more frequent than others, as in a language.
fn word(random: &mut fastrand::Rng) -> String {
    let rank = random.f64() * random.f64() * VOCABULARY as f64;
    format!("word{}", rank as usize)
}

/// `count` lines of words without keys.
#[must_use]
pub fn lines(count: usize, random: &mut fastrand::Rng) -> Vec<KafkaRecord> {
    let start = now();
    let line = |index| {
        let words: Vec<String> = (0..random.usize(WORDS_A_LINE)).map(|_| word(random)).collect();
        KafkaRecord::new(None, &words.join(" "), start + index as i64 / 10)
    };
    (0..count).map(line).collect()
}

/// `count` orders with keys.
#[must_use]
pub fn orders(count: usize, random: &mut fastrand::Rng) -> Vec<KafkaRecord> {
    let start = now();
    let order = |index| KafkaRecord::new(Some(&word(random)), &format!("order {index}"), start + index as i64 / 10);
    (0..count).map(order).collect()
}

/// Writes records from a thread of its own, evenly over some time.
pub struct Trickle {
    thread: Option<JoinHandle<Vec<KafkaRecord>>>,
    stop: std::sync::Arc<AtomicBool>,
}

impl Trickle {
    /// Writes `records` over about `duration`.
    #[must_use]
    pub fn start(bootstrap: &str, topic: &str, records: Vec<KafkaRecord>, duration: Duration) -> Self {
        /// Between two slices.
        const PAUSE: Duration = Duration::from_millis(10);
        let slices = (duration.as_millis() / PAUSE.as_millis()).max(1) as usize;
        let producer = TestProducer::new(bootstrap, topic);
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let write = move || {
            let mut written = 0;
            let size = records.len().div_ceil(slices).max(1);
            let pause = duration / records.len().div_ceil(size).max(1) as u32;
            for slice in records.chunks(size) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                slice.iter().for_each(|record| producer.send(record));
                written += slice.len();
                sleep(pause);
            }
            producer.flush();
            let mut records = records;
            records.truncate(written);
            records
        };
        Self { thread: Some(std::thread::spawn(write)), stop }
    }

    /// Waits until all is written.
    ///
    /// # Panics
    ///
    /// When it could not be written.
    pub fn finish(mut self) {
        let thread = self.thread.take().expect("a trickle is finished once");
        thread.join().expect("everything was written");
    }

    /// Stops writing, and returns what was written.
    ///
    /// # Panics
    ///
    /// When it could not be written.
    #[must_use]
    pub fn stop(mut self) -> Vec<KafkaRecord> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("a trickle is stopped once");
        thread.join().expect("everything was written")
    }
}

impl Drop for Trickle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
