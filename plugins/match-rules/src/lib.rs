//! Matches records against 1 000 rules. `match` forwards a record once for each rule that it fits, with the rule as its key; `tally` keeps 32
//! bytes for each rule, and forwards how often it was met at every tenth time. Between the two belongs a repartition.

use millstream_sdk::prelude::*;

const RULES: u64 = 1_000;
/// An odd number with its bits spread out, 2^64 divided by the golden ratio: it makes neighbours look unlike each other.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the rules look at: the second 8 bytes of the value.
fn subject(record: &Record<'_>) -> Result<u64> {
    let value: &[u8] = record.value_as()?;
    let bytes = value.get(8..).and_then(<[u8]>::first_chunk);
    bytes.map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(|| Error::skip("the value has fewer than 16 bytes"))
}

/// One subject of 1 024 fits a rule.
fn fits(rule: u64, subject: u64) -> bool {
    (subject ^ rule.wrapping_mul(SPREAD)).wrapping_mul(SPREAD) >> 54 == 0
}

struct Match;

impl Processor for Match {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let subject = subject(&record)?;
        for rule in (0..RULES).filter(|rule| fits(*rule, subject)) {
            context.forward(record.with_key(&rule.to_be_bytes()));
        }
        Ok(())
    }
}

struct Tally {
    tallies: KeyValueStore,
}

impl Processor for Tally {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { tallies: setup.store("tallies")?.read_ahead() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let (key, subject): (&[u8], _) = (record.key_as()?, subject(&record)?.cast_signed());
        let before = self.tallies.get(key);
        let mut old = before.as_deref().unwrap_or_default().as_chunks::<8>().0.iter();
        let mut field = || old.next().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        let (count, sum, highest) = (field() + 1, field().wrapping_add(subject), field().max(subject));
        self.tallies.put(key, [count, sum, highest, record.timestamp()].map(i64::to_be_bytes).concat());
        if count % 10 == 0 {
            context.forward(record.with_value(&count.to_be_bytes()));
        }
        Ok(())
    }
}

millstream_sdk::export! { processors: { "match" => Match, "tally" => Tally } }

#[test]
fn every_tenth_match_of_a_rule_is_told() {
    use millstream_sdk::testing::TestProcessor;
    let mut test = TestProcessor::<Tally>::new().with_store("tallies").begin().expect("init");
    for number in 0..25_u64 {
        let value = [[0; 8], number.to_be_bytes()].concat();
        test.process(Record::default().with_key("rule").with_value(&value)).expect("process");
    }
    assert_eq!(test.take_forwarded().iter().map(|told| told.value::<i64>()).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(
        (0..1_000_000).filter(|subject| fits(7, u64::wrapping_mul(*subject, SPREAD))).count() / 100,
        9,
        "1 of 1 024"
    );
}
