//! Real plugins, called as a task calls them: what crosses, and what comes back.

mod stage;

use millstream_core::processor::{
    KeySelector as _, Predicate as _, PunctuationType, Reaction, RecordFailure, SelectedKeys,
};
use millstream_wasm::{InstanceLimits, WasmKeySelector, WasmPredicate};
use stage::{Row, Setting, Stage, batch, component, row};

fn values(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.value.as_deref().unwrap_or("null")).collect()
}

#[test]
fn records_come_through_as_they_went_in_with_nulls_headers_and_timestamps() {
    let mut stage = Stage::begun(&component("identity"), &Setting { processor: "identity", ..Setting::default() });
    let headers = vec![("trace".to_owned(), Some("1".to_owned())), ("trace".to_owned(), None)];
    let rows = [
        row("a", "one", 1),
        Row { headers: headers.clone(), ..row("", "", 2) },
        Row { key: None, timestamp: 3, ..Row::default() },
        Row { key: None, headers, ..row("", "four", i64::MAX) },
        Row { value: None, ..row("k", "", 0) },
    ];
    for count in 1..=rows.len() {
        assert_eq!(stage.process(&rows[..count]), Ok(Vec::new()));
        assert_eq!(stage.take_out(), rows[..count]);
    }
    let many: Vec<Row> = (0..5_000).map(|number| row(&number.to_string(), &"v".repeat(number % 50), 7)).collect();
    assert_eq!(stage.process(&many), Ok(Vec::new()));
    assert_eq!(stage.take_out(), many);
    stage.close();
}

#[test]
fn one_component_holds_several_processors_and_a_node_names_the_one_it_wants() {
    let identity = component("identity");
    assert_eq!(identity.processors(), ["identity", "capitals"]);
    assert_eq!(
        identity.choose_processor(None).expect_err("there are two").to_string(),
        "the plugin has several processors, so the node must name one: `identity`, `capitals`"
    );
    assert_eq!(
        identity.choose_processor(Some("italics")).expect_err("there is none").to_string(),
        "the plugin has no processor `italics`: it has `identity`, `capitals`"
    );
    assert_eq!(component("words").choose_processor(None).expect("the only one"), "split");
    let mut stage = Stage::begun(&identity, &Setting { processor: "capitals", ..Setting::default() });
    stage.process(&[row("a", "größe", 1)]).expect("processed");
    assert_eq!(values(&stage.take_out()), ["GRÖSSE"]);
}

#[test]
fn text_is_split_into_words() {
    let mut stage = Stage::begun(&component("words"), &Setting { processor: "split", ..Setting::default() });
    let failures =
        stage.process(&[row("x", "Streams, streams!", 5), Row { value: None, ..row("y", "", 6) }, row("z", "End", 7)]);
    assert_eq!(failures, Ok(Vec::new()));
    assert_eq!(stage.take_out(), [row("streams", "streams", 5), row("streams", "streams", 5), row("end", "end", 7)]);
}

#[test]
fn counts_grow_over_batches_of_any_size_and_are_stored_with_the_record_s_timestamp() {
    let setting = Setting { processor: "count", stores: &["counts"], ..Setting::default() };
    let mut stage = Stage::begun(&component("get-put-forward"), &setting);
    let mut expected = 0_i64;
    for size in [1_usize, 1, 2, 7, 100] {
        let rows: Vec<Row> = (0..size).map(|index| row("hot", "", 10 + index as i64)).collect();
        assert_eq!(stage.process(&rows), Ok(Vec::new()));
        assert_eq!(stage.take_out().len(), size);
        expected += size as i64;
        let timestamp = 10 + size as i64 - 1;
        assert_eq!(stage.stored("counts", "hot"), Some((expected.to_be_bytes().to_vec(), timestamp)));
    }
    let failures = stage.process(&[Row { key: None, ..row("", "v", 1) }, row("cold", "", 2)]);
    let skipped = RecordFailure { index: 0, reaction: Reaction::Skip("the record has no key".to_owned()) };
    assert_eq!(failures, Ok(vec![skipped]));
    assert_eq!(stage.take_out().len(), 1);
}

#[test]
fn refused_records_leave_nothing_behind_and_retry_and_fatal_end_the_batch() {
    let component = component("fixture-refuse");
    let mut stage = Stage::begun(&component, &Setting { processor: "refuse", ..Setting::default() });
    let rows = ["a", "skip", "b", "dead-letter", "c"].map(|value| row("k", value, 1));
    let failures = stage.process(&rows).expect("no trap");
    let skip = RecordFailure { index: 1, reaction: Reaction::Skip("asked to skip".to_owned()) };
    let dead_letter = RecordFailure { index: 3, reaction: Reaction::DeadLetter("asked to dead-letter".to_owned()) };
    assert_eq!(failures, [skip, dead_letter]);
    assert_eq!(values(&stage.take_out()), ["a", "b", "c"]);

    let ends = [
        ("retry", Reaction::Retry("asked to retry".to_owned())),
        ("fatal", Reaction::Fatal("asked to stop".to_owned())),
    ];
    for (value, reaction) in ends {
        let failures = stage.process(&["a", value, "b"].map(|value| row("k", value, 1))).expect("no trap");
        assert_eq!(failures, [RecordFailure { index: 1, reaction }]);
        assert_eq!(values(&stage.take_out()), ["a"]);
    }
    let mut stage = Stage::begun(&component, &Setting { processor: "refuse", ..Setting::default() });
    let failures = stage.process(&[Row { value: None, ..row("k", "", 1) }]).expect("no trap");
    assert_eq!(failures[0].reaction, Reaction::Fatal("the value is null".to_owned()));
}

#[test]
fn records_go_to_the_child_they_are_meant_for_with_the_metadata_and_times_of_their_row() {
    let setting = Setting { processor: "echo", children: &["left", "right"], ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-echo"), &setting);
    stage.slot.wall_clock_time = 77;
    let rows = [row("1", "left", 5), row("2", "right", 9), row("3", "both", 7), row("4", "left", 8)];
    stage.process(&rows).expect("processed");
    let forwarded = stage.take_forwarded();
    let keys = |child: &str| forwarded[child].iter().filter_map(|row| row.key.clone()).collect::<Vec<_>>();
    assert_eq!(
        (keys("left"), keys("right")),
        (vec!["1".to_owned(), "3".into(), "4".into()], vec!["2".to_owned(), "3".into()])
    );
    let seen = |row: &Row| row.headers[0].1.clone().expect("the header has a value");
    let left: Vec<String> = forwarded["left"].iter().map(seen).collect();
    assert_eq!(left, ["in-3@100 (5, 77)", "in-3@102 (9, 77)", "in-3@103 (9, 77)"]);
    assert_eq!(forwarded["left"][0].headers[1], ("null".to_owned(), None));
}

#[test]
fn in_a_call_with_one_record_the_order_between_children_is_kept() {
    let setting = Setting { processor: "echo", children: &["left", "right"], ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-echo"), &setting);
    for (value, expected) in [("left", (1, 0)), ("right", (0, 1)), ("both", (1, 1))] {
        stage.process(&[row("k", value, 1)]).expect("processed");
        let forwarded = stage.take_forwarded();
        let count = |child: &str| forwarded.get(child).map_or(0, Vec::len);
        assert_eq!((count("left"), count("right")), expected, "{value}");
    }
}

#[test]
fn punctuations_fire_as_scheduled_and_can_be_cancelled_and_a_commit_can_be_asked_for() {
    let mut stage = Stage::begun(&component("fixture-echo"), &Setting { processor: "echo", ..Setting::default() });
    let (stream, wall) = (PunctuationType::StreamTime, PunctuationType::WallClockTime);
    assert_eq!(stage.punctuate(stream, -1), Ok(0));
    assert_eq!(stage.punctuate(stream, 3), Ok(1));
    let expected = Row { headers: Vec::new(), ..row("stream-time", "3 Some(-1)", 3) };
    assert_eq!(stage.take_out(), [expected]);
    assert_eq!(stage.punctuate(stream, 9), Ok(0));
    assert_eq!(stage.punctuate(stream, 10), Ok(1));
    assert_eq!(values(&stage.take_out()), ["10 Some(-1)"]);

    assert_eq!(stage.punctuate(wall, 3), Ok(0));
    assert_eq!(stage.punctuate(wall, 4), Ok(1), "scheduled at -1, every 5 ms");
    assert_eq!(values(&stage.take_out()), ["4"]);
    let failure = stage.punctuate(wall, 20).expect_err("the second one refuses");
    assert!(failure.reason.contains("the wall clock has struck twice"), "{failure}");
    assert!(stage.take_out().is_empty(), "what a punctuation that fails forwarded is taken back");

    assert!(!stage.slot.commit_requested);
    stage.process(&[row("k", "commit", 11), row("k", "cancel", 12)]).expect("processed");
    assert!(stage.slot.commit_requested);
    stage.take_out();
    assert_eq!(stage.punctuate(stream, 1_000), Ok(0));
}

#[test]
fn ranges_and_prefixes_see_what_the_same_batch_wrote_in_both_orders() {
    let setting = Setting { processor: "cursors", stores: &["store"], ..Setting::default() };
    let mut stage = Stage::begun(&component("fixture-cursors"), &setting);
    let rows = [row("b", "1", 1), row("za", "2", 2), row("a", "3", 3), row("zb", "4", 4)];
    stage.process(&rows[..3]).expect("processed");
    let keys: Vec<String> = stage.take_out().into_iter().filter_map(|row| row.key).collect();
    assert_eq!(keys, ["b", "b", "za", "b", "a", "za"]);
    stage.process(&rows[3..]).expect("processed");
    let keys: Vec<String> = stage.take_out().into_iter().filter_map(|row| row.key).collect();
    assert_eq!(keys, ["b", "a", "za", "zb"]);
    assert_eq!(stage.stored("store", "za"), Some((b"2".to_vec(), 2)));
}

#[test]
fn predicates_and_key_selectors_answer_for_each_record() {
    let functions = component("functions");
    assert_eq!(
        (functions.predicates().len(), functions.key_selectors().len(), functions.processors().len()),
        (2, 2, 0)
    );
    let records = batch(&[row("1", "word", 1), row("2", "or", 2), row("3", "", 3)]);
    let limits = InstanceLimits::default();
    let about = ["application", "functions", "node", "0_0"];
    let mut is_long = WasmPredicate::new(&functions, &limits, "is-long", about).expect("instantiated");
    let mut marks = vec![9];
    is_long.test(&records, &mut marks).expect("answered");
    assert_eq!(marks, [9, 1, 0, 0]);

    let mut letters = WasmKeySelector::new(&functions, &limits, "first-letter", about).expect("instantiated");
    let mut keys = SelectedKeys::default();
    letters.select(&records, &mut keys).expect("answered");
    letters.select(&records, &mut keys).expect("answered again, behind the first answer");
    let chosen: Vec<_> = (0..6).map(|index| keys.key(index)).collect();
    let expected = [Some(&b"w"[..]), Some(b"o"), None];
    assert_eq!(chosen, [expected, expected].concat());

    let bad = batch(&[Row { value: None, ..row("k", "", 1) }]);
    let failure = is_long.test(&bad, &mut marks).expect_err("there is no value");
    assert!(failure.to_string().starts_with("refused a record: the value is null (plugin sha256:"), "{failure}");
    let failure =
        WasmPredicate::new(&functions, &limits, "nothing", about).expect("instantiated").test(&bad, &mut marks);
    assert!(failure.expect_err("no such function").reason.contains("there is no predicate `nothing` in this plugin"));
}

#[test]
fn enriched_orders_wait_for_their_customer_but_not_for_ever() {
    let setting = Setting {
        processor: "enrich",
        stores: &["customers", "waiting"],
        config: &[("patience-ms", "1000")],
        ..Setting::default()
    };
    let mut stage = Stage::begun(&component("enrich"), &setting);
    let order = |customer: &str| row("k", &format!(r#"{{"type":"order","customer":"{customer}","amount":2.5}}"#), 10);
    let customer = row("k", r#"{"type":"customer","id":"c1","name":"Ada"}"#, 11);
    let failures =
        stage.process(&[order("c1"), order("c2"), row("k", "no JSON", 10), customer, order("c1")]).expect("no trap");
    assert!(matches!(&failures[..], [RecordFailure { index: 2, reaction: Reaction::DeadLetter(_) }]), "{failures:?}");
    let enriched = r#"{"customer":"c1","name":"Ada","amount":2.5}"#;
    assert_eq!(values(&stage.take_out()), [enriched, enriched]);
    stage.punctuate(PunctuationType::StreamTime, 11).expect("nobody has waited long enough");
    assert!(stage.take_out().is_empty());
    stage.punctuate(PunctuationType::StreamTime, 2_000).expect("punctuated");
    assert_eq!(values(&stage.take_out()), [r#"{"customer":"c2","name":null,"amount":2.5}"#]);
    stage.punctuate(PunctuationType::StreamTime, 9_000).expect("punctuated");
    assert!(stage.take_out().is_empty());
}
