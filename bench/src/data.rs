//! Input records, the same for the same workload on every machine.

use std::fmt::Write;

use crate::workload::Data;

/// The first record's timestamp; each later one comes a tenth of a millisecond after it.
const FIRST_TIMESTAMP: i64 = 1_767_225_600_000;
/// Different words in lines.
const VOCABULARY: usize = 50_000;
const WORDS_A_LINE: usize = 8;
/// Bytes of an order in JSON; its key has 8 more.
const JSON_BYTES: usize = 245;
const SEED: u64 = 0x6d69_6c6c_7374_7265;

/// Makes the records of an input, one after the other.
pub struct Records {
    data: Data,
    random: fastrand::Rng,
    number: u64,
    total: u64,
    vocabulary: Option<Vocabulary>,
    /// The key of the current record; empty when it has none.
    pub key: Vec<u8>,
    /// The value of the current record.
    pub value: Vec<u8>,
    text: String,
}

impl Records {
    /// The `total` records of `data`.
    #[must_use]
    pub fn new(data: Data, total: u64) -> Self {
        let vocabulary = (data == Data::Lines).then(Vocabulary::new);
        let random = fastrand::Rng::with_seed(SEED);
        Self { data, random, number: 0, total, vocabulary, key: Vec::new(), value: Vec::new(), text: String::new() }
    }

    /// Goes to the next record; `None` when there is none.
    pub fn advance(&mut self) -> Option<i64> {
        if self.number == self.total {
            return None;
        }
        self.key.clear();
        self.value.clear();
        match self.data {
            Data::Keyed { keys, value_bytes } => {
                let key = self.random.u64(..keys);
                self.key.extend_from_slice(&key.to_be_bytes());
                self.fill_value(value_bytes);
            }
            Data::EachKeyOnce { value_bytes } => {
                // Odd factors permute the numbers of 64 bits.
                let key = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.key.extend_from_slice(&key.to_be_bytes());
                self.fill_value(value_bytes);
            }
            Data::Json => self.write_order(),
            Data::Lines => self.write_line(),
        }
        self.number += 1;
        Some(FIRST_TIMESTAMP + (self.number / 10).cast_signed())
    }

    /// The record's number, then noise, which does not compress.
    fn fill_value(&mut self, bytes: usize) {
        self.value.resize(bytes, 0);
        self.random.fill(&mut self.value);
        self.value[..8].copy_from_slice(&self.number.to_be_bytes());
    }

    fn write_order(&mut self) {
        const COUNTRIES: [&str; 6] = ["de", "fr", "it", "jp", "se", "us"];
        const STATES: [&str; 3] = ["new", "paid", "sent"];
        let random = &mut self.random;
        let customer = random.u64(..10_000);
        self.key.extend_from_slice(&customer.to_be_bytes());
        self.text.clear();
        write!(
            self.text,
            "{{\"id\":{},\"customer\":\"customer-{customer:05}\",\"country\":\"{}\",\"state\":\"{}\",\"priority\":{},\"quantity\":{},\
             \"cents\":{},\"items\":[{},{},{}],\"note\":\"",
            self.number,
            random.choice(COUNTRIES).unwrap_or_default(),
            random.choice(STATES).unwrap_or_default(),
            random.bool(),
            random.u32(1..10),
            random.u32(100..100_000),
            random.u32(..1_000_000),
            random.u32(..1_000_000),
            random.u32(..1_000_000),
        )
        .expect("a String takes any text");
        while self.text.len() < JSON_BYTES - 2 {
            self.text.push(random.lowercase());
        }
        self.text.push_str("\"}");
        self.value.extend_from_slice(self.text.as_bytes());
    }

    fn write_line(&mut self) {
        let Some(vocabulary) = &self.vocabulary else { return };
        for word in 0..WORDS_A_LINE {
            if word > 0 {
                self.value.push(b' ');
            }
            self.value.extend_from_slice(vocabulary.word(self.random.f64()).as_bytes());
        }
    }
}

/// Words, some much more frequent than others: the word of rank r comes 1/r as often as the first (Zipf).
struct Vocabulary {
    words: Vec<String>,
    /// For each word the sum of the weights up to it.
    sums: Vec<f64>,
}

impl Vocabulary {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut words: Vec<String> = Vec::with_capacity(VOCABULARY);
        for number in 0..VOCABULARY {
            // Letters for its looks, and its number so that no two are the same.
            let letters: String = (0..random.usize(2..7)).map(|_| random.lowercase()).collect();
            words.push(format!("{letters}{number}"));
        }
        let mut sum = 0.0;
        let weights = (0..VOCABULARY).map(|rank| {
            sum += 1.0 / (rank + 1) as f64;
            sum
        });
        Self { sums: weights.collect(), words }
    }

    /// The word at `place` from 0 to 1 of all text.
    fn word(&self, place: f64) -> &str {
        let sought = place * self.sums[VOCABULARY - 1];
        &self.words[self.sums.partition_point(|sum| *sum <= sought).min(VOCABULARY - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(data: Data, total: u64) -> Vec<(Vec<u8>, Vec<u8>, i64)> {
        let mut records = Records::new(data, total);
        let mut all = Vec::new();
        while let Some(timestamp) = records.advance() {
            all.push((records.key.clone(), records.value.clone(), timestamp));
        }
        all
    }

    #[test]
    fn the_same_records_come_every_time() {
        for data in
            [Data::Keyed { keys: 5, value_bytes: 100 }, Data::Json, Data::Lines, Data::EachKeyOnce { value_bytes: 9 }]
        {
            let records = all(data, 100);
            assert_eq!(records.len(), 100);
            assert_eq!(records, all(data, 100), "{data:?}");
        }
    }

    #[test]
    fn sizes_are_what_the_workloads_say() {
        assert!(all(Data::Keyed { keys: 5, value_bytes: 100 }, 9).iter().all(|(k, v, _)| k.len() + v.len() == 108));
        assert!(all(Data::Json, 1_000).iter().all(|(k, v, _)| k.len() + v.len() == 253));
        assert!(all(Data::Lines, 9).iter().all(|(_, v, _)| v.split(|byte| *byte == b' ').count() == WORDS_A_LINE));
    }

    #[test]
    fn orders_are_json_and_half_of_them_have_priority() {
        let orders = all(Data::Json, 1_000);
        let parsed =
            orders.iter().map(|(_, value, _)| serde_json::from_slice::<serde_json::Value>(value).expect("JSON"));
        let kept = parsed.filter(|order| order["priority"] == true).count();
        assert!((400..600).contains(&kept), "{kept}");
    }

    #[test]
    fn frequent_words_are_frequent() {
        let vocabulary = Vocabulary::new();
        let mut random = fastrand::Rng::with_seed(1);
        let first = vocabulary.words[0].clone();
        let hits = (0..100_000).filter(|_| vocabulary.word(random.f64()) == first).count();
        // 1 / (ln 50 000 + 0.58)
        assert!((8_000..9_600).contains(&hits), "{hits}");
    }
}
