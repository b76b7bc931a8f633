//! Views of values, and records that are changed on their way.

use millstream_core::stream_thread::OnError;
use millstream_tests::driver::TestRecord;

use crate::Case;
use crate::stage::{Exchange, Plugin, Setting, check_answers, shown};

pub const CASES: &[Case] = &[
    ("text of every script passes, and null is not the empty text", text),
    ("longs pass up to their limits", longs),
    ("doubles pass up to their limits", doubles),
    ("JSON passes with all that is in it", json),
    ("a value of another form is refused with words that say so", other_forms),
    ("key, value and timestamp can be changed", changed_records),
    ("headers keep order, repeats and nulls", headers),
];

fn text(plugin: &Plugin) {
    let texts =
        ["", "plain", "añ €", "\u{10348}\u{1f600} 你好", "e\u{301}", "\0\n\t", "\u{feff}bom", &"long ".repeat(5000)];
    let answers = texts.map(|text| format!("{text}!"));
    let mut exchanges: Vec<Exchange<'_>> = vec![("text", None, None)];
    for (text, answer) in texts.iter().zip(&answers) {
        exchanges.push(("text", Some(text.as_bytes()), Some(answer.as_bytes())));
    }
    check_answers(plugin, &exchanges);
}

fn longs(plugin: &Plugin) {
    let numbers = [0, 1, -1, 42, i64::MAX, i64::MIN, i64::MAX - 1, (1 << 53) + 1, -(1 << 53) - 1, 1 << 31, 0xff];
    let bytes: Vec<_> = numbers.iter().map(|number| number.to_be_bytes()).collect();
    let complements: Vec<_> = numbers.iter().map(|number| (!number).to_be_bytes()).collect();
    let texts: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    let mut exchanges: Vec<Exchange<'_>> = vec![("long", None, None), ("long-text", None, None)];
    for (index, number) in bytes.iter().enumerate() {
        exchanges.push(("long", Some(number), Some(&complements[index])));
        exchanges.push(("long-text", Some(number), Some(texts[index].as_bytes())));
    }
    check_answers(plugin, &exchanges);
}

fn doubles(plugin: &Plugin) {
    let numbers = [0.0, -0.0, 1.5, -1e-300, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::EPSILON, 0.1];
    let bytes: Vec<_> = numbers.iter().map(|number: &f64| number.to_be_bytes()).collect();
    let negative: Vec<_> = numbers.iter().map(|number| (-number).to_be_bytes()).collect();
    let mut exchanges: Vec<Exchange<'_>> = vec![("double", None, None)];
    for (bytes, negative) in bytes.iter().zip(&negative) {
        exchanges.push(("double", Some(bytes), Some(negative)));
    }
    check_answers(plugin, &exchanges);
    // Which of the many that are no number comes back is not said.
    let mut stage = plugin.stage(Setting::default());
    stage.write("double", Some(&f64::NAN.to_be_bytes()));
    stage.run();
    let answer = stage.output().remove(0).value.expect("an answer");
    assert!(f64::from_be_bytes(answer.try_into().expect("8 bytes")).is_nan());
}

fn json(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    let texts = [
        "{}",
        r#"{"seen":false}"#,
        r#" { "name" : "Zoë \u00e9 \ud83d\ude00 \" \\ \n", "list": [1, 2.5, -3e2, true, null, []] , "in": {"a": {"b": ""}} } "#,
    ];
    for text in texts {
        stage.write("json", Some(text.as_bytes()));
    }
    stage.write("json", None);
    stage.run();
    stage.assert_sound();
    let found = stage.output();
    assert_eq!(found.len(), texts.len() + 1);
    assert_eq!(found[texts.len()].value, None);
    for (text, record) in texts.iter().zip(found) {
        let mut expected: serde_json::Value = serde_json::from_str(text).expect("the case is JSON");
        expected["seen"] = true.into();
        let answer = record.value.expect("an answer");
        let found: serde_json::Value = serde_json::from_slice(&answer)
            .unwrap_or_else(|error| panic!("{error}: the answer is no JSON: {}", String::from_utf8_lossy(&answer)));
        assert_eq!(numbers_as_doubles(found), numbers_as_doubles(expected), "{text}");
    }
}

/// JSON knows one kind of number; `1` and `1.0` are the same.
fn numbers_as_doubles(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(list) => list.into_iter().map(numbers_as_doubles).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, member)| (name, numbers_as_doubles(member))).collect()
        }
        other => other,
    }
}

fn other_forms(plugin: &Plugin) {
    let not_text: &[&[u8]] = &[b"\xff", b"abc\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80b"];
    let not_8_bytes: &[&[u8]] = &[b"", b"1234567", b"123456789"];
    let not_an_object: &[&[u8]] = &[b"", b"{", b"[1]", b"\"text\"", b"1", b"{\"a\":1}}", b"{\"a\":\"\xff\"}", b"null"];
    let cases = [
        ("text", not_text),
        ("long", not_8_bytes),
        ("long-text", not_8_bytes),
        ("double", not_8_bytes),
        ("json", not_an_object),
    ];
    for (command, values) in cases {
        let mut stage = plugin.stage(Setting { on_error: OnError::DeadLetter, ..Setting::default() });
        for value in values {
            stage.write(command, Some(value));
        }
        stage.write("long-text", Some(&[0; 8]));
        stage.run();
        stage.assert_sound();
        assert_eq!(stage.texts(), ["0"], "{command}: bad values are left out, and others go on");
        let dead = stage.driver.read_output("dead");
        assert_eq!(dead.iter().map(|record| record.value.as_deref().unwrap_or_default()).collect::<Vec<_>>(), values);
        for record in dead {
            let reason = message(&record);
            assert!(reason.contains("value"), "{command}: the reason does not name the value: {reason}");
        }
    }
}

/// Why a record is in the dead-letter topic.
pub fn message(dead: &TestRecord) -> String {
    let header = dead.headers.iter().find(|(name, _)| name == "__streams.errors.message");
    shown(header.expect("a dead letter says why").1.as_deref())
}

fn changed_records(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    let given = |command: &str| TestRecord::new(command, "v", 5).header("h", None);
    let keyed = |key: &str| TestRecord { key: Some(key.into()), ..given("") };
    let cases: Vec<(&str, Vec<TestRecord>)> = vec![
        ("key ünï", vec![keyed("ünï")]),
        ("null-key", vec![TestRecord { key: None, ..given("") }]),
        ("null-value", vec![TestRecord { value: None, ..given("null-value") }]),
        ("at 0", vec![TestRecord { timestamp: 0, ..given("at 0") }]),
        ("at 9007199254740993", vec![TestRecord { timestamp: 9_007_199_254_740_993, ..given("at 9007199254740993") }]),
        ("bare", vec![TestRecord { headers: vec![], ..given("bare") }]),
        ("nothing", vec![]),
        ("flood 3", (0..3).map(|n| TestRecord { value: Some(n.to_string().into()), ..given("flood 3") }).collect()),
    ];
    for (command, _) in &cases {
        stage.driver.write("in", None, &given(command));
    }
    stage.driver.write("in", None, &TestRecord::with(None, Some(b"no command"), 6));
    stage.run();
    stage.assert_sound();
    let mut expected: Vec<_> = cases.into_iter().flat_map(|(_, records)| records).collect();
    expected.push(TestRecord::with(None, Some(b"no command"), 6));
    assert_eq!(stage.output(), expected);
}

fn headers(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    let all = [
        ("a", Some("1")),
        ("drop", Some("x")),
        ("a", None),
        ("ü", Some("")),
        ("drop", None),
        ("", Some("e")),
        ("a", Some("3")),
    ];
    let given = all.iter().fold(TestRecord::new("headers", "v", 1), |record, (name, value)| {
        record.header(name, value.map(str::as_bytes))
    });
    let kept = all.iter().filter(|(name, _)| *name != "drop");
    let expected = kept
        .fold(TestRecord::new("headers", "v", 1), |record, (name, value)| record.header(name, value.map(str::as_bytes)))
        .header("count", Some(b"7"))
        .header("nothing", None);
    // Records without headers stand between, so that headers could go to the wrong one.
    let none = TestRecord::new("headers", "w", 2);
    let of_none = none.clone().header("count", Some(b"0")).header("nothing", None);
    let plain = TestRecord::new("text", "t", 3);
    for record in [&plain, &given, &none, &plain, &given] {
        stage.driver.write("in", None, record);
    }
    stage.run();
    let answer = TestRecord { value: Some(b"t!".into()), ..plain };
    assert_eq!(stage.output(), [answer.clone(), expected.clone(), of_none, answer, expected]);
    for (name, answer) in [("a", Some("3")), ("drop", None), ("ü", Some("")), ("none", Some("none"))] {
        stage.driver.write("in", None, &TestRecord { key: Some(format!("header {name}").into()), ..given.clone() });
        stage.run();
        assert_eq!(stage.texts(), [answer.unwrap_or("null")], "header {name}");
    }
}
