//! Keeps for each key how often it came (the first 8 bytes) and what its latest record says (the rest), and forwards that.

use millstream_sdk::prelude::*;

struct Visits {
    visits: KeyValueStore,
    /// What is being written; kept for its memory.
    now: Vec<u8>,
}

impl Processor for Visits {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { visits: setup.store("visits")?.read_ahead(), now: Vec::new() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let (key, value): (&[u8], &[u8]) = (record.key_as()?, record.value_as()?);
        let Some((_, latest)) = value.split_first_chunk::<8>() else {
            return Err(Error::skip("the value has fewer than 8 bytes"));
        };
        let before = self.visits.get(key);
        let count = before.as_deref().and_then(<[u8]>::first_chunk).map_or(0, |count| i64::from_be_bytes(*count)) + 1;
        self.now.clear();
        self.now.extend_from_slice(&count.to_be_bytes());
        self.now.extend_from_slice(latest);
        self.visits.put(key, &self.now);
        context.forward(record.with_value(&self.now));
        Ok(())
    }
}

millstream_sdk::export! { processors: { "visits" => Visits } }

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_sdk::testing::TestProcessor;

    #[test]
    fn visits_are_counted_and_the_latest_is_kept() {
        let mut test = TestProcessor::<Visits>::new().with_store("visits").begin().expect("init");
        for (key, value) in [("a", "........one"), ("b", "........two"), ("a", "........three")] {
            test.process(Record::default().with_key(key).with_value(value)).expect("process");
        }
        assert_eq!(test.stored("visits", "a"), Some(b"\0\0\0\0\0\0\0\x02three".to_vec()));
        assert_eq!(test.stored("visits", "b"), Some(b"\0\0\0\0\0\0\0\x01two".to_vec()));
        assert_eq!(test.take_forwarded().len(), 3);
    }
}
