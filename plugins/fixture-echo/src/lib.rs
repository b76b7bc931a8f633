//! Tells what it sees: forwards to the child that the record's value names what `context` says of time and metadata,
//! punctuations as they fire, and logs each record.

use std::time::Duration;

use millstream_sdk::prelude::*;
use millstream_sdk::{HeadersBuilder, log};

struct Echo {
    children: Vec<(String, Child)>,
    every: Punctuation,
}

impl Processor for Echo {
    fn init(setup: &mut Setup) -> Result<Self> {
        let names = setup.children().to_vec();
        let children = names.into_iter().map(|name| Ok((name.clone(), setup.child(&name)?)));
        let children = children.collect::<Result<_>>()?;
        log::info(format_args!("{} of {} begins in {}", setup.processor(), setup.node(), setup.task()));
        let every = setup.schedule(Duration::from_millis(10), PunctuationType::StreamTime)?;
        let mut left = 2;
        setup.schedule_with(Duration::from_millis(5), PunctuationType::WallClockTime, move |now, context| {
            context.forward(Record::default().with_key("wall-clock").with_value(&now.to_string()).with_timestamp(now));
            left -= 1;
            if left == 0 {
                return Err(Error::fatal("the wall clock has struck twice"));
            }
            Ok(())
        })?;
        Ok(Self { children, every })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let metadata = context.metadata().ok_or_else(|| Error::fatal("a record has metadata"))?;
        let times = (context.stream_time(), context.wall_clock_time());
        log::debug(format_args!("{record:?}"));
        let seen = format!("{}-{}@{} {times:?}", metadata.topic, metadata.partition, metadata.offset);
        let headers =
            HeadersBuilder::from_headers(record.headers()).with("seen", Some(seen.as_bytes())).with("null", None);
        let answer = record.with_headers(headers.headers());
        let named = record.value_as::<Option<&str>>()?.unwrap_or_default();
        match self.children.iter().find(|(name, _)| name == named) {
            Some((_, child)) => context.forward_to(*child, answer),
            None => context.forward(answer),
        }
        match named {
            "commit" => context.commit(),
            "cancel" => context.cancel(self.every),
            _ => {}
        }
        Ok(())
    }

    fn punctuate(&mut self, _: Punctuation, _: PunctuationType, now: Timestamp, context: &mut Context) -> Result<()> {
        let metadata = context.metadata().map(|metadata| metadata.offset);
        let text = format!("{now} {metadata:?}");
        context.forward(Record::default().with_key("stream-time").with_value(&text).with_timestamp(now));
        Ok(())
    }
}

millstream_sdk::export! { processors: { "echo" => Echo } }
