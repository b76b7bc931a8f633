//! Several languages in one topology, exactly once: the sample application `plugins/mixed` on a real broker, killed again and again.
#![cfg(feature = "kafka")]

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use millstream_tests::kafka::application::Application;
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, ProgressWatch, TopicReader, TransactionWatch, produce, read_all};
use millstream_tests::kafka::work::now;
use millstream_tests::kafka::{PATIENCE, eventually, file_of_tests, random, report};

const PARTITIONS: i32 = 3;
const RECORDS: usize = 20_000;
const KILLS: usize = 10;

/// Prices in cents; of a dragon there is none.
const PRICES: [(&str, i64); 3] = [("tea", 350), ("cake", 420), ("soup", 690)];

/// The sample's tables, with topics of this application's own and components by their whole paths.
fn topology() -> String {
    let folder = file_of_tests("../plugins/mixed");
    let text = fs::read_to_string(folder.join("millstream.toml")).expect("the manifest is there");
    let tables = text.find("[plugins.").map(|at| &text[at..]).expect("there are plugins");
    let line = |line: &str| {
        let own = line.replace("topics = [\"", "topics = [\"{id}-").replace("topic = \"", "topic = \"{id}-");
        match own.strip_prefix("component = \"") {
            Some(path) => format!("component = \"{}/{path}\n", folder.display()),
            None => own + "\n",
        }
    };
    tables.lines().map(line).collect()
}

fn orders(count: usize, random: &mut fastrand::Rng) -> Vec<KafkaRecord> {
    let start = now();
    let order = |at: usize| {
        let customer = format!("customer-{}", random.u32(0..200));
        let value = match random.u32(0..100) {
            0 => "nonsense".to_owned(),
            1 => "dragon,1".to_owned(),
            _ => format!("{},{}", PRICES[random.usize(..3)].0, random.u32(1..5)),
        };
        KafkaRecord::new(Some(&customer), &value, start + at as i64)
    };
    (0..count).map(order).collect()
}

/// What each customer must be told, in order.
fn expected(orders: &[KafkaRecord]) -> BTreeMap<String, Vec<i64>> {
    let (mut numbers, mut owed) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, Vec<i64>>::new());
    for order in orders {
        let customer = order.key_text().to_owned();
        let text = String::from_utf8_lossy(order.value.as_deref().unwrap_or_default()).into_owned();
        let Some((item, quantity)) = text.split_once(',') else { continue };
        let Some((_, price)) = PRICES.iter().find(|(name, _)| *name == item) else { continue };
        let number = numbers.entry(customer.clone()).and_modify(|number| *number += 1).or_insert(1);
        let whole = price * quantity.parse::<i64>().expect("a number");
        let cents = if *number % 3 == 0 { whole / 2 } else { whole };
        let totals = owed.entry(customer).or_default();
        totals.push(totals.last().copied().unwrap_or(0) + cents);
    }
    owed
}

#[test]
fn four_languages_in_one_transaction_survive_ten_kills_with_exact_totals() {
    let mut random = random();
    let application = Application::new(Broker::shared(), "mixed", &topology());
    let application = application.settings("dead-letter-topic = \"bad-orders-of-mixed\"");
    for topic in ["orders", "priced", "owed"] {
        application.create_topic(topic, PARTITIONS);
    }
    millstream_tests::kafka::client::create_topic(&application.bootstrap, "bad-orders-of-mixed", 1);
    let orders = orders(RECORDS, &mut random);
    let watch = TransactionWatch::new(&application.bootstrap, &[&application.topic("owed")]);
    let progress = ProgressWatch::new(&application.bootstrap, &application.id, &[&application.topic("orders")]);
    let mut in_transaction = 0;
    let parts: Vec<_> = orders.chunks(RECORDS.div_ceil(KILLS + 1)).collect();
    for part in &parts[..KILLS] {
        produce(&application.bootstrap, &application.topic("orders"), *part);
        let before = progress.committed();
        let mut host = application.start("a");
        eventually("the host works", PATIENCE, || {
            host.assert_running();
            (progress.committed() > before || watch.is_open()).then_some(())
        });
        sleep(Duration::from_millis(random.u64(0..200)));
        host.kill();
        in_transaction += usize::from(watch.is_open());
    }
    produce(&application.bootstrap, &application.topic("orders"), parts[KILLS]);
    let expected = expected(&orders);
    let count: usize = expected.values().map(Vec::len).sum();
    let host = application.start("a");
    for topic in ["owed", "priced"] {
        TopicReader::new(&application.bootstrap, &application.topic(topic)).read_until(count);
    }
    host.stop();
    let mut found = BTreeMap::<String, Vec<i64>>::new();
    for record in read_all(&application.bootstrap, &application.topic("owed")).iter().flatten() {
        found.entry(record.key_text().to_owned()).or_default().push(record.value_long());
    }
    assert_eq!(found, expected);
    let dead = read_all(&application.bootstrap, "bad-orders-of-mixed");
    let bad = orders.len() - count;
    assert_eq!(dead.iter().flatten().count(), bad, "each bad order is a dead letter once");
    report(format_args!(
        "{RECORDS} orders, {bad} of them bad; {KILLS} kills, {in_transaction} with an open transaction"
    ));
}
