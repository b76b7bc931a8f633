//! Native unit tests of a processor: no Wasm, no broker, a clock that stands still until it is told otherwise.
//!
//! ```
//! use millstream_sdk::prelude::*;
//! use millstream_sdk::testing::TestProcessor;
//!
//! struct Count {
//!     counts: KeyValueStore,
//! }
//!
//! impl Processor for Count {
//!     fn init(setup: &mut Setup) -> Result<Self> {
//!         Ok(Self { counts: setup.store("counts")?.read_ahead() })
//!     }
//!
//!     fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
//!         let key: &[u8] = record.key_as()?;
//!         let count = self.counts.get(key).map_or(Ok(0), |value| value.view::<i64>())? + 1;
//!         self.counts.put(key, count.to_be_bytes());
//!         context.forward(record.with_value(&count.to_be_bytes()));
//!         Ok(())
//!     }
//! }
//!
//! let mut test = TestProcessor::<Count>::new().with_store("counts").begin().expect("init");
//! test.process(Record::default().with_key("a").with_timestamp(1)).expect("first");
//! test.process(Record::default().with_key("a").with_timestamp(2)).expect("second");
//! let counts: Vec<_> = test.take_forwarded().iter().map(|forwarded| forwarded.value::<i64>()).collect();
//! assert_eq!(counts, [1, 2]);
//! assert_eq!(test.stored("counts", "a"), Some(2_i64.to_be_bytes().to_vec()));
//! ```

pub(crate) mod host;

use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::processor::exports::millstream::processor::processor::Setup as SetupOnWire;
use crate::columns::OwnedColumns;
use crate::context::PunctuationType;
use crate::error::{Error, Result};
use crate::export::{Running, begin};
use crate::processor::Processor;
use crate::record::Record;
use crate::view::View;
use crate::{HeadersBuilder, Timestamp};

/// A record that was forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// To which child; `None` means to all.
    pub child: Option<String>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: Timestamp,
    /// Keys and values of the headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Forwarded {
    /// The key as `T`.
    ///
    /// # Panics
    ///
    /// If it has another form.
    #[must_use]
    pub fn key<'a, T: View<'a>>(&'a self) -> T {
        T::view(self.key.as_deref()).unwrap_or_else(|problem| panic!("the key {problem}"))
    }

    /// The value as `T`.
    ///
    /// # Panics
    ///
    /// If it has another form.
    #[must_use]
    pub fn value<'a, T: View<'a>>(&'a self) -> T {
        T::view(self.value.as_deref()).unwrap_or_else(|problem| panic!("the value {problem}"))
    }
}

/// A processor to be tested: what it is given at the beginning, then, after [`begin`](Self::begin), the processor
/// itself.
pub struct TestProcessor<P> {
    config: Vec<(String, String)>,
    children: Vec<String>,
    stores: Vec<String>,
    running: Option<Running>,
    processor: PhantomData<P>,
}

impl<P: Processor> Default for TestProcessor<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Processor> TestProcessor<P> {
    /// A processor without settings and stores, with one child named `child`. Stream time is -1, wall-clock time 0.
    #[must_use]
    pub fn new() -> Self {
        host::reset();
        Self {
            config: Vec::new(),
            children: vec!["child".to_owned()],
            stores: Vec::new(),
            running: None,
            processor: PhantomData,
        }
    }

    /// Gives it a setting.
    #[must_use]
    pub fn with_config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Gives it other children.
    #[must_use]
    pub fn with_children(mut self, children: &[&str]) -> Self {
        self.children = children.iter().map(|&child| child.to_owned()).collect();
        self
    }

    /// Gives it an empty store; one that keeps timestamps.
    #[must_use]
    pub fn with_store(mut self, name: &str) -> Self {
        host::add_store(name);
        self.stores.push(name.to_owned());
        self
    }

    /// Calls `init`.
    ///
    /// # Errors
    ///
    /// As `init` answers.
    pub fn begin(mut self) -> Result<Self> {
        host::set_children(&self.children);
        let setup = SetupOnWire {
            processor: "processor".to_owned(),
            node: "node".to_owned(),
            task: "0_0".to_owned(),
            config: self.config.clone(),
            children: self.children.clone(),
            stores: self.stores.clone(),
        };
        self.running = Some(Running::begin(setup, |setup| begin::<P>(setup))?);
        Ok(self)
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("call `begin` first")
    }

    /// Gives it one record, then calls the punctuations that are due.
    ///
    /// # Errors
    ///
    /// As `process` or a punctuation answers.
    pub fn process(&mut self, record: Record<'_>) -> Result<()> {
        match self.process_batch(&[record])?.pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Gives it records in one batch, then calls the punctuations that are due. Returns the rows that failed.
    ///
    /// # Errors
    ///
    /// As a punctuation answers.
    pub fn process_batch(&mut self, records: &[Record<'_>]) -> Result<Vec<(u32, Error)>> {
        let mut columns = OwnedColumns::default();
        for record in records {
            columns.push(record, 0);
        }
        host::take_records(&columns);
        let failures = self.running().process(&columns);
        self.punctuate(PunctuationType::StreamTime)?;
        Ok(failures)
    }

    /// Lets time pass on the wall clock, then calls the punctuations that are due.
    ///
    /// # Errors
    ///
    /// As a punctuation answers.
    pub fn advance_wall_clock_time(&mut self, by: Duration) -> Result<()> {
        host::advance_wall_clock_time(by.as_millis() as Timestamp);
        self.punctuate(PunctuationType::WallClockTime)
    }

    fn punctuate(&mut self, kind: PunctuationType) -> Result<()> {
        for (id, timestamp) in host::due(kind) {
            host::begin_punctuation();
            self.running().punctuate(id, kind, timestamp)?;
        }
        Ok(())
    }

    /// Calls `close`.
    pub fn close(mut self) {
        self.running().close();
    }

    /// What was forwarded since the last call, in the order of the calls of `forward` for each child.
    pub fn take_forwarded(&mut self) -> Vec<Forwarded> {
        let mut forwarded = Vec::new();
        for (child, columns) in host::take_forwarded() {
            let child = child.map(|child| self.children[child as usize].clone());
            for (_, record) in crate::Batch::new(&columns).records() {
                let headers = record.headers().iter();
                forwarded.push(Forwarded {
                    child: child.clone(),
                    key: record.key().map(<[u8]>::to_vec),
                    value: record.value().map(<[u8]>::to_vec),
                    timestamp: record.timestamp(),
                    headers: headers.map(|(key, value)| (key.to_owned(), value.map(<[u8]>::to_vec))).collect(),
                });
            }
        }
        forwarded
    }

    /// What a store holds for a key.
    #[must_use]
    pub fn stored(&self, store: &str, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        host::stored(store, key.as_ref())
    }

    /// Puts an entry into a store.
    pub fn put(&mut self, store: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        host::put(store, key.as_ref(), value.as_ref());
    }

    /// How many calls into the host the last batch made; a number to keep small.
    #[must_use]
    pub fn host_calls(&self) -> usize {
        host::calls()
    }

    /// The lines logged so far.
    #[must_use]
    pub fn logged(&self) -> Vec<String> {
        host::logged()
    }

    /// How often a commit was asked for.
    #[must_use]
    pub fn commits_requested(&self) -> usize {
        host::commits_requested()
    }
}

/// Headers for a record of a test: `headers(&[("trace", "1")]).headers()`.
#[must_use]
pub fn headers(pairs: &[(&str, &str)]) -> HeadersBuilder {
    pairs.iter().fold(HeadersBuilder::new(), |builder, (key, value)| builder.with(key, Some(value.as_bytes())))
}
