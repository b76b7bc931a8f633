//! Splits each value into words: one record a word, lower-case, in key and value. The first half of word count.

use millstream_sdk::prelude::*;

struct Words {
    /// The word in lower case; kept for its memory.
    word: String,
}

impl Processor for Words {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self { word: String::new() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let Some(text) = record.value_as::<Option<&str>>()? else {
            return Ok(());
        };
        for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
            self.word.clear();
            if word.is_ascii() {
                self.word.push_str(word);
                self.word.make_ascii_lowercase();
            } else {
                self.word.push_str(&word.to_lowercase());
            }
            context.forward(record.with_key(&self.word).with_value(&self.word));
        }
        Ok(())
    }
}

millstream_sdk::export! { processors: { "split" => Words } }

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_sdk::testing::TestProcessor;

    #[test]
    fn text_becomes_lower_cased_words() {
        let mut test = TestProcessor::<Words>::new().begin().expect("init");
        test.process(Record::default().with_value("Hello, ÄRGER -- hello!").with_timestamp(7)).expect("process");
        let forwarded = test.take_forwarded();
        assert_eq!(
            forwarded.iter().map(|record| record.key::<&str>()).collect::<Vec<_>>(),
            ["hello", "ärger", "hello"]
        );
        assert!(forwarded.iter().all(|record| record.timestamp == 7 && record.key == record.value));
    }
}
