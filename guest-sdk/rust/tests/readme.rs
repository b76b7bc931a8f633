//! The README's snippets, one after the other, as an author would copy them into one file.
#![allow(dead_code, reason = "the README shows a processor that it doesn't test")]

#[macro_use]
extern crate millstream_sdk;

use millstream_sdk::prelude::*;

struct Shout {
    seen: KeyValueStore,
}

impl Processor for Shout {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { seen: setup.store("seen")?.read_ahead() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let (key, text): (&[u8], &str) = (record.key_as()?, record.value_as()?);
        if self.seen.put_if_absent(key, text).is_none() {
            context.forward(record.with_value(&text.to_uppercase()));
        }
        Ok(())
    }
}

export! { processors: { "shout" => Shout } }

use std::ops::ControlFlow;

struct Numbered {
    numbers: KeyValueStore,
}

impl Numbered {
    fn number(&self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let before = self.numbers.get("last").map_or(Ok(0), |number| number.view::<i64>())?;
        self.numbers.put("last", (before + 1).to_be_bytes());
        context.forward(record.with_value(&format!("{}: {}", before + 1, record.value_as::<&str>()?)));
        Ok(())
    }
}

impl Processor for Numbered {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { numbers: setup.store("numbers")? })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        self.number(record, context)
    }

    fn process_batch(&mut self, batch: &Batch<'_>, context: &mut Context) {
        println!("{} bytes in {} records", batch.values().len(), batch.len());
        for (row, record) in batch.records() {
            if let ControlFlow::Break(()) = context.row(row, |context| self.number(record, context)) {
                break; // a record that is to be tried again: none after it
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_sdk::testing::TestProcessor;

    #[test]
    fn only_the_first_text_of_a_key_is_forwarded() {
        let mut test = TestProcessor::<Shout>::new().with_store("seen").begin().expect("begins");
        for text in ["one", "two"] {
            test.process(Record::default().with_key("k").with_value(text)).expect("is processed");
        }
        assert_eq!(test.take_forwarded().len(), 1);
    }
}

#[test]
fn each_snippet_of_the_readme_is_in_this_file() {
    let snippets = include_str!("../README.md").split("```rust\n").skip(1);
    for snippet in snippets.filter_map(|rest| rest.split("```").next()) {
        let code = snippet.strip_prefix("// src/lib.rs\n").unwrap_or(snippet);
        assert!(include_str!("readme.rs").contains(code), "copy it to tests/readme.rs:\n{code}");
    }
}

#[test]
fn a_processor_with_whole_batches_does_what_it_does_with_single_records() {
    let mut test =
        millstream_sdk::testing::TestProcessor::<Numbered>::new().with_store("numbers").begin().expect("begins");
    let records = ["a", "b"].map(|text| Record::default().with_value(text));
    assert_eq!(test.process_batch(&records).expect("no punctuation fails"), []);
    let texts: Vec<String> = test.take_forwarded().iter().map(|record| record.value::<&str>().to_owned()).collect();
    assert_eq!(texts, ["1: a", "2: b"]);
}

#[test]
fn the_license_in_the_package_is_the_project_s() {
    assert_eq!(include_str!("../LICENSE"), include_str!("../../../LICENSE"));
}
