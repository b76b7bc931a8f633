//! Stores of both kinds: single entries, many entries, ranges, prefixes, walks.

use std::collections::BTreeMap;

use millstream_tests::driver::TestRecord;

use crate::Case;
use crate::stage::{Plugin, Setting, TASK, check_texts, shown};

pub const CASES: &[Case] = &[
    ("an entry is put, read, replaced and deleted", entries),
    ("a timestamped store keeps timestamps, the other has none", timestamps),
    ("many keys are read and written at once", many),
    ("keys and values may be any bytes", any_bytes),
    ("ranges and prefixes go both ways, by unsigned bytes", ranges),
    ("a walk sees the writes of its own batch and may delete what it passes", walks),
    ("a walk has as many pages as it needs", pages),
    ("walks are closed when the call ends", cursors_are_closed),
    ("a store is found again after a restart, and its changelog says the same", restart),
];

fn entries(plugin: &Plugin) {
    for store in ["plain", "timed"] {
        let of = |command: &str| command.replacen(" S", &format!(" {store}"), 1);
        let exchanges: Vec<(String, &str, &[&str])> = vec![
            (of("get S k"), "", &["null"]),
            (of("put S k"), "v1", &[]),
            (of("get S k"), "", &["v1"]),
            (of("put S k"), "", &[]),
            (of("get S k"), "", &[""]),
            (of("put-if-absent S k"), "v2", &[""]),
            (of("put-if-absent S other"), "v3", &["null"]),
            (of("get S other"), "", &["v3"]),
            (of("delete S k"), "", &[""]),
            (of("delete S k"), "", &["null"]),
            (of("get S k"), "", &["null"]),
            (of("put-if-absent S k"), "v4", &["null"]),
            (of("put-if-absent S k"), "v5", &["v4"]),
        ];
        let exchanges: Vec<_> =
            exchanges.iter().map(|(command, value, answers)| (&**command, *value, *answers)).collect();
        check_texts(plugin, &exchanges);
    }
    // A null value deletes.
    let mut stage = plugin.stage(Setting::default());
    stage.write("put plain k", Some(b"v"));
    stage.write("put plain k", None);
    stage.run();
    assert_eq!(stage.ask("get plain k", ""), ["null"]);
    assert_eq!(stage.driver.store(TASK, "plain"), []);
}

fn timestamps(plugin: &Plugin) {
    let mut stage = plugin.stage(Setting::default());
    stage.now = 1_700_000_000_000;
    for store in ["plain", "timed"] {
        assert_eq!(stage.ask(&format!("stamped {store} k"), ""), ["none"]);
        assert_eq!(stage.ask(&format!("put {store} k"), "v"), [""; 0]);
        assert_eq!(stage.ask(&format!("put-at {store} later 9007199254740993"), "w"), [""; 0]);
        assert_eq!(stage.ask(&format!("put-if-absent {store} absent"), "x"), ["null"]);
    }
    assert_eq!(stage.ask("range timed - -", ""), ["absent=x@1700000000007 k=v@1700000000005 later=w@9007199254740993"]);
    assert_eq!(stage.ask("range plain - -", ""), ["absent=x@-1 k=v@-1 later=w@-1"]);
    assert_eq!(stage.ask("stamped timed k", ""), ["1700000000005 v"]);
    assert_eq!(stage.ask("stamped timed later", ""), ["9007199254740993 w"]);
    assert_eq!(stage.ask("stamped plain k", ""), ["-1 v"]);
}

fn many(plugin: &Plugin) {
    check_texts(
        plugin,
        &[
            ("put-many plain a b c", "1", &[]),
            ("get-many plain c x a a", "", &["1,-,1,1"]),
            ("put plain b", "2", &[]),
            ("get-many plain a b c", "", &["1,2,1"]),
            ("put-many plain a a ä", "", &[]),
            ("get-many plain a b c ä", "", &[",2,1,"]),
            ("delete plain b", "", &["2"]),
            ("get-many plain b", "", &["-"]),
            ("get-many timed a", "", &["-"]),
        ],
    );
    let keys: Vec<String> = (0..5000).map(|number| format!("k{number}")).collect();
    let mut stage = plugin.stage(Setting::default());
    stage.ask(&format!("put-many plain {}", keys.join(" ")), "v");
    let answer = stage.ask(&format!("get-many plain {}", keys.join(" ")), "");
    assert_eq!(answer, [vec!["v"; 5000].join(",")]);
    assert_eq!(stage.driver.store(TASK, "plain").len(), 5000);
}

fn any_bytes(plugin: &Plugin) {
    let keys: &[&[u8]] = &[b"", b"\0", b"\xff", b"\xff\xfe\xfd", "ß".as_bytes(), b"plain", b"\x80", &[b'l'; 60_000]];
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        for key in keys {
            stage.write("put-self timed", Some(key));
            stage.write("get-self timed", Some(key));
        }
        stage.write("get-self timed", Some(b"\xfe"));
        stage.run();
        stage.assert_sound();
        let found: Vec<_> = stage.output().into_iter().map(|record| record.value).collect();
        let mut expected: Vec<_> = keys.iter().map(|key| Some(key.to_vec())).collect();
        expected.push(None);
        assert_eq!(found, expected);
        let mut sorted: Vec<_> = keys.iter().map(|key| (key.to_vec(), key.to_vec())).collect();
        sorted.sort();
        assert_eq!(stage.driver.store(TASK, "timed"), sorted);
    }
}

fn ranges(plugin: &Plugin) {
    check_texts(
        plugin,
        &[
            ("range plain - -", "", &[""]),
            ("put-many plain b aa a z é zz a! Z", "1", &[]),
            ("range plain - -", "", &["Z=1@-1 a=1@-1 a!=1@-1 aa=1@-1 b=1@-1 z=1@-1 zz=1@-1 é=1@-1"]),
            ("reverse-range plain - -", "", &["é=1@-1 zz=1@-1 z=1@-1 b=1@-1 aa=1@-1 a!=1@-1 a=1@-1 Z=1@-1"]),
            ("range plain a b", "", &["a=1@-1 a!=1@-1 aa=1@-1 b=1@-1"]),
            ("reverse-range plain a b", "", &["b=1@-1 aa=1@-1 a!=1@-1 a=1@-1"]),
            ("range plain aaa -", "", &["b=1@-1 z=1@-1 zz=1@-1 é=1@-1"]),
            ("range plain - a", "", &["Z=1@-1 a=1@-1"]),
            ("reverse-range plain - a", "", &["a=1@-1 Z=1@-1"]),
            ("reverse-range plain z -", "", &["é=1@-1 zz=1@-1 z=1@-1"]),
            ("range plain b a", "", &[""]),
            ("range plain c d", "", &[""]),
            ("prefix plain a", "", &["a=1@-1 a!=1@-1 aa=1@-1"]),
            ("reverse-prefix plain a", "", &["aa=1@-1 a!=1@-1 a=1@-1"]),
            ("prefix plain é", "", &["é=1@-1"]),
            ("prefix plain zzz", "", &[""]),
            ("prefix timed a", "", &[""]),
            ("prefix plain", "", &["Z=1@-1 a=1@-1 a!=1@-1 aa=1@-1 b=1@-1 z=1@-1 zz=1@-1 é=1@-1"]),
            ("reverse-prefix plain", "", &["é=1@-1 zz=1@-1 z=1@-1 b=1@-1 aa=1@-1 a!=1@-1 a=1@-1 Z=1@-1"]),
        ],
    );
}

fn walks(plugin: &Plugin) {
    check_texts(
        plugin,
        &[
            ("put timed a", "1", &[]),
            ("put timed b", "2", &[]),
            ("range timed - -", "", &["a=1@0 b=2@1"]),
            ("put timed a", "3", &[]),
            ("delete timed b", "", &["2"]),
            ("put timed c", "4", &[]),
            ("prefix timed", "", &["a=3@3 c=4@5"]),
            ("clear timed", "", &["2"]),
            ("range timed - -", "", &[""]),
            ("clear timed", "", &["0"]),
            ("put timed a", "5", &[]),
            ("reverse-range timed - -", "", &["a=5@10"]),
        ],
    );
    let mut stage = plugin.stage(Setting::default());
    assert_eq!(stage.ask("entries plain", ""), ["0"]);
    stage.ask("put-many plain a b c", "1");
    let entries: u64 = stage.ask("entries plain", "")[0].parse().expect("a number");
    assert!((1..=100).contains(&entries), "about 3, not {entries}");
}

fn pages(plugin: &Plugin) {
    let keys: Vec<String> = (0..25_000).map(|number| format!("key-{number:05}")).collect();
    let mut stage = plugin.stage(Setting::default());
    for some in keys.chunks(5_000) {
        stage.ask(&format!("put-many plain {}", some.join(" ")), "v");
    }
    let shown =
        |keys: &mut dyn Iterator<Item = &String>| keys.map(|key| format!("{key}=v@-1")).collect::<Vec<_>>().join(" ");
    let is = |answer: Vec<String>, expected: String| answer.len() == 1 && answer[0] == expected;
    assert!(is(stage.ask("range plain - -", ""), shown(&mut keys.iter())));
    assert!(is(stage.ask("reverse-prefix plain key-", ""), shown(&mut keys.iter().rev())));
    assert!(is(stage.ask("range plain key-00007 key-20002", ""), shown(&mut keys[7..=20_002].iter())));
    assert_eq!(stage.ask("clear plain", ""), ["25000"]);
    assert_eq!(stage.driver.store(TASK, "plain"), []);
}

fn cursors_are_closed(plugin: &Plugin) {
    for records_max in [1, 100] {
        let mut stage = plugin.stage(Setting { records_max, ..Setting::default() });
        stage.ask("put-many plain a b c", "1");
        // The bound of 256 is for a call of the guest; a batch of one record is one call.
        let (count, times) = if records_max == 1 { (200, 5) } else { (20, 10) };
        for _ in 0..times {
            stage.write(&format!("cursors plain {count}"), Some(b""));
        }
        stage.run();
        stage.assert_sound();
        assert_eq!(stage.texts(), vec!["ok"; times]);
    }
}

fn restart(plugin: &Plugin) {
    let mut first = plugin.stage(Setting::default());
    for (command, value) in [
        ("put timed a", "1"),
        ("put timed b", "2"),
        ("delete timed a", ""),
        ("put plain p", "3"),
        ("put-at timed c 5", "4"),
    ] {
        first.ask(command, value);
    }
    let log = first.driver.log.clone();
    drop(first);
    let mut second = plugin.stage(Setting { log, ..Setting::default() });
    second.output();
    assert_eq!(second.ask("range timed - -", ""), ["b=2@1 c=4@5"]);
    assert_eq!(second.ask("get plain p", ""), ["3"]);
    let changes = |records: Vec<TestRecord>| {
        let last = records
            .into_iter()
            .map(|record| (shown(record.key.as_deref()), (record.value.map(|value| value.len()), record.timestamp)));
        last.collect::<BTreeMap<_, _>>()
    };
    // A timestamped store's changelog has the value alone, and the timestamp as the record's.
    let changelog = changes(second.driver.read_output("app-timed-changelog"));
    let expected = [("a", (None, 2)), ("b", (Some(1), 1)), ("c", (Some(1), 5))];
    assert_eq!(changelog, expected.map(|(key, change)| (key.to_owned(), change)).into());
}
