// Processors as their authors test them: forwarding, state, time and errors, without Wasm.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it, mock } from "node:test";
import { fileURLToPath } from "node:url";

import {
    DeadLetter,
    Headers,
    ProcessorError,
    Record,
    Retry,
    Skip,
    bytes,
    double,
    integer,
    json,
    long,
    optional,
    plugin,
    safeLong,
    text,
} from "@millstream/sdk";
import { TestProcessor, askKeySelector, askPredicate, record } from "@millstream/sdk/testing";

import { beginCall, crypto, random, randomBytesFrom } from "../src/random.js";
import { StandIn } from "../src/stand-in.js";
import { wellFormed } from "../src/utf8.js";

let kept = null;

/** Forwards what the value says. */
class Reforward {
    constructor(setup) {
        setup.schedule(1000, "wall-clock-time", (_, context) => context.forward(kept));
    }

    process(record, context) {
        const word = record.value === null ? "" : record.valueAs(text);
        if (word === "key") context.forward(record.withKey("new"));
        else if (word === "value") context.forward(record.withValue(Buffer.from("new")));
        else if (word === "no-key") context.forward(record.withKey(null));
        else if (word === "no-value") context.forward(record.withValue(null));
        else if (word === "other") context.forward(Record.of(record));
        else if (word === "same") context.forward(record.withKey(record.key).withValue(record.value));
        else if (word === "keep") kept = record;
        else if (word === "kept") context.forward(kept);
        else context.forward(record.withTimestamp(9));
    }
}

/** Forwards all at indices, with these keys and values if there are some. */
class Reselect {
    static wanted;

    processBatch(batch, context) {
        const { keys, values, indices } = Reselect.wanted;
        if (indices !== undefined) batch = batch.select(indices);
        if (keys !== undefined) batch = batch.withKeys(keys);
        if (values !== undefined) batch = batch.withValues(values);
        context.forwardBatch(batch);
    }
}

/** How many bytes of keys and values `run` copies to the host. */
function copiedBytes(run) {
    const spy = mock.method(StandIn.prototype, "take");
    run();
    spy.mock.restore();
    const sizes = spy.mock.calls.map(({ arguments: [, { keys, values }] }) => keys.length + values.length);
    return sizes.reduce((sum, size) => sum + size, 0);
}

/** Does what the words of the value say, one after the other. */
class Script {
    constructor(setup) {
        this.store = setup.store("store", { values: text }).readAhead();
        this.other = setup.children.includes("other") ? setup.child("other") : null;
    }

    process(record, context) {
        for (const word of record.valueAs(text).split(" ")) {
            const [name, value] = word.split("=");
            if (name === "put") this.store.put(record.key, value);
            else if (name === "fail") throw new Skip(value);
            else if (name === "stop") throw new Retry(value);
            else if (value !== undefined) this.store.put(name, value);
            else if (name === "delete") this.store.delete(record.key);
            else if (name === "all") context.forward(record.withValue(this.entries().join(",")));
            else if (name === "other") context.forwardTo(this.other, record);
            else context.forward(record.withValue(this.store.get(name) ?? "none"));
        }
    }

    entries() {
        return Array.from(this.store.as({ keys: text, values: text }).all(), ({ key, value }) => key + value);
    }
}

const script = () => new TestProcessor(Script, { stores: ["store"], children: ["child", "other"] });
const scripted = (key, value) => record({ key, value, timestamp: 5 });
const values = (test) => test.takeForwarded().map((forwarded) => forwarded.valueAs(text));

describe("a processor", () => {
    it("does the same with a batch and with single records", () => {
        const scripts = [
            ["a", "put=1 a b"],
            ["b", "a put=2 all"],
            ["a", "delete all b c=3"],
            ["c", "c a all"],
            ["a", "put=4 all"],
        ];
        const single = script();
        for (const [key, value] of scripts) single.process(scripted(key, value));
        const expected = values(single);
        assert.deepEqual(expected, ["1", "none", "1", "a1,b2", "b2", "2", "3", "none", "b2,c3", "a4,b2,c3"]);
        const batch = script();
        assert.deepEqual(batch.processBatch(scripts.map(([key, value]) => scripted(key, value))), []);
        assert.deepEqual(values(batch), expected);
        for (const key of ["a", "b", "c"])
            assert.equal(batch.stored("store", key, text), single.stored("store", key, text));
    });

    it("takes back what a failed record wrote and forwarded, even after a scan", () => {
        for (const spoiler of [
            "a=9 new=9 a fail=no",
            "a=9 new=9 all fail=no",
            "a=9 all a=8 all new=7 fail=no",
            "a=9 fail=no",
        ]) {
            const test = script();
            const failures = test.processBatch([
                scripted("a", "put=1 b=2"),
                scripted("b", spoiler),
                scripted("b", "delete all fail=no"),
                scripted("c", "a all"),
            ]);
            assert.deepEqual(
                failures.map(({ row }) => row),
                [1, 2],
                spoiler,
            );
            assert.deepEqual(values(test), ["1", "a1,b2"], spoiler);
            assert.equal(test.stored("store", "a", text), "1", spoiler);
            assert.equal(test.stored("store", "new"), null, spoiler);
            assert.equal(test.stored("store", "b", text), "2", spoiler);
        }
    });

    it("processes no other record after one that must be tried again", () => {
        const test = script();
        const failures = test.processBatch([
            scripted("a", "put=1"),
            scripted("b", "put=2 stop=later"),
            scripted("c", "put=3"),
        ]);
        assert.equal(failures.length, 1);
        assert.equal(failures[0].row, 1);
        assert.equal(failures[0].error.reaction, "retry");
        assert.equal(failures[0].error.message, "later");
        assert.deepEqual(
            ["a", "b", "c"].map((key) => test.stored("store", key) !== null),
            [true, false, false],
        );
    });

    it("copies nothing of what is forwarded as it came", () => {
        const cases = [
            ["k", "as it came", "k", "as it came", 0],
            [null, "x", null, "x", 0],
            ["k", null, "k", null, 0],
            [null, null, null, null, 0],
            ["", "", "", "", 0],
            ["k", "key", "new", "key", 3],
            [null, "key", "new", "key", 3],
            ["k", "value", "k", "new", 3],
            ["k", "no-key", null, "no-key", 0],
            ["k", "no-value", "k", null, 0],
            ["k", "other", "k", "other", 6],
            ["k", "same", "k", "same", 5],
        ];
        const given = cases.map(([key, value]) => record({ key, value, timestamp: 5 }));
        const expected = cases.map(([, , key, value]) => [key, value]);
        const all = new TestProcessor(Reforward);
        const forwarded = () => all.takeForwarded().map((one) => flat(one).slice(0, 2));
        cases.forEach(([, word, , , copied], index) => {
            assert.equal(
                copiedBytes(() => all.process(given[index])),
                copied,
                word,
            );
        });
        assert.deepEqual(forwarded(), expected);
        // All in one batch.
        const sum = cases.reduce((sum, [, , , , copied]) => sum + copied, 0);
        assert.equal(
            copiedBytes(() => all.processBatch(given)),
            sum,
        );
        assert.deepEqual(forwarded(), expected);
    });

    it("copies records of other rows and of none", () => {
        const test = new TestProcessor(Reforward);
        const whole = "first".length + "keep".length;
        const [keep, again, plain] = [scripted("first", "keep"), scripted("same", "kept"), scripted("same", "plain")];
        assert.equal(
            copiedBytes(() => test.processBatch([keep, again, plain])),
            whole,
        );
        assert.equal(
            copiedBytes(() => test.process(again)),
            whole,
        );
        assert.equal(
            copiedBytes(() => test.advanceWallClockTime(1000)),
            whole,
        );
        assert.deepEqual(values(test), ["keep", "plain", "keep", "keep"]);
    });

    it("copies of a batch what was replaced", () => {
        const given = [scripted("a", "1"), record({ key: null, value: "2" }), record({ key: "c", value: null })];
        const cases = [
            [{}, ["a1", "null2", "cnull"], 0],
            [{ indices: [2, 0] }, ["cnull", "a1"], 0],
            [{ keys: ["x", null, "zz"] }, ["x1", "null2", "zznull"], 3],
            [{ indices: [1, 2], values: [null, "new"] }, ["nullnull", "cnew"], 3],
            [{ keys: [null, "", "x"], values: ["", "", ""] }, ["null", "", "x"], 1],
        ];
        for (const [wanted, expected, copied] of cases) {
            const test = new TestProcessor(Reselect);
            Reselect.wanted = wanted;
            assert.equal(
                copiedBytes(() => test.processBatch(given)),
                copied,
            );
            const found = test.takeForwarded().map((one) => flat(one).slice(0, 2).map(String).join(""));
            assert.deepEqual(found, expected);
        }
    });

    it("may not write to the bytes that it is given", () => {
        class Writes {
            process(record) {
                record.value[0] = 0;
            }
        }
        assert.throws(() => new TestProcessor(Writes).process(scripted("k", "v")), /changed in place/);
    });

    it("reads ahead and writes back once a batch", () => {
        const test = script();
        test.processBatch(Array.from({ length: 100 }, () => scripted("a", "put=1 a")));
        assert.equal(test.hostCalls, 3, "get-many, put-many, forward");
        const single = script();
        single.process(scripted("a", "put=1 a"));
        assert.equal(single.hostCalls, 2, "put-many, forward");
    });

    it("keeps the order of records for one child and for all", () => {
        const test = script();
        test.processBatch([
            scripted("1", "other"),
            scripted("2", "nothing"),
            scripted("3", "other other"),
            scripted("4", "nothing"),
        ]);
        const forOther = test.takeForwarded().filter(({ child }) => child === null || child === "other");
        assert.deepEqual(
            forOther.map((forwarded) => forwarded.keyAs(text)),
            ["1", "2", "3", "3", "4"],
        );
    });

    it("passes headers, timestamp and key along", () => {
        const test = script();
        const trace = new Headers([["trace", "1"]]);
        test.process(record({ key: "k", value: "nothing", headers: trace, timestamp: 9 }));
        const [forwarded] = test.takeForwarded();
        assert.equal(forwarded.keyAs(text), "k");
        assert.equal(forwarded.timestamp, 9);
        assert.deepEqual(show(forwarded.headers), [["trace", "1"]]);
        const changed = trace.with("trace", "2").with("null", null);
        assert.deepEqual(
            [Buffer.from(changed.last("trace")).toString(), changed.last("null"), changed.last("no")],
            ["2", null, undefined],
        );
        assert.equal(changed.without("trace").without("null").length, 0);
    });

    it("logs what is no error of its own with its stack, and leaves it to the policy", () => {
        class Bug {
            process(record) {
                record.value.nothing.there();
            }
        }
        const test = new TestProcessor(Bug);
        const [{ row, error }] = test.processBatch([scripted("a", "x"), scripted("b", "y")]);
        assert.equal(row, 0);
        assert.equal(error.reaction, "fatal");
        assert.match(error.message, /^TypeError: Cannot read properties of undefined/);
        assert.match(test.logged[0], /^error: TypeError: Cannot read /);
        assert.match(test.logged[1], /^error: .*processor\.test\.js/);
    });

    it("refuses a promise or a generator, wherever it is given", () => {
        const later = async () => {
            await null;
            throw new Error("nobody hears this");
        };
        const generator = function* () {};
        for (const [give, how] of [
            [later, "must not be async or return a promise: a record's work ends with the call"],
            [generator, "must not be a generator: a record's work ends with the call"],
        ]) {
            const begin = (methods, schedule = () => {}) => {
                class Late {
                    constructor(setup) {
                        schedule(setup);
                    }
                    process(record, context) {
                        context.forward(record);
                    }
                }
                Object.assign(Late.prototype, methods);
                return new TestProcessor(Late);
            };
            const fails = (what, work) =>
                assert.throws(work, ({ reaction, message }) => {
                    assert.equal(reaction, "fatal");
                    return message.startsWith(`${what} ${how}`);
                });
            fails("`process`", () => begin({ process: () => give() }).process(record({})));
            fails("`processBatch`", () => begin({ processBatch: () => give() }).process(record({})));
            fails("`processBatch`", () => begin({ processBatch: () => give() }).processBatch([record({}), record({})]));
            fails("the work of a row", () =>
                begin({ processBatch: (_, context) => context.row(0, () => give()) }).process(record({})),
            );
            fails("`punctuate`", () =>
                begin({ punctuate: () => give() }, (setup) => setup.schedule(1, "stream-time")).process(record({})),
            );
            fails("a punctuator", () =>
                begin({}, (setup) => setup.schedule(1, "stream-time", () => give())).process(record({})),
            );
            fails("`close`", () => begin({ close: () => give() }).close());
            class Late {
                constructor() {
                    return give();
                }
                process() {}
            }
            fails("the constructor", () => new TestProcessor(Late));
        }
    });

    it("leaves nothing behind of a record whose work is to go on later", () => {
        class Late {
            async process(record, context) {
                context.forward(record);
                await null;
                throw new Skip("never heard");
            }
        }
        const test = new TestProcessor(Late);
        assert.deepEqual(
            test.processBatch([record({})]).map(({ error }) => error.reaction),
            ["fatal"],
        );
        assert.deepEqual(test.takeForwarded(), []);
    });

    it("says what is missing when it can't begin", () => {
        class Picky {
            constructor(setup) {
                setup.required("limit");
            }
            process() {}
        }
        assert.throws(() => new TestProcessor(Picky), /the node's setting `limit` is missing: give it in `config`/);
        class Lost {
            constructor(setup) {
                setup.store("none");
            }
            process() {}
        }
        assert.throws(() => new TestProcessor(Lost), /there is no store `none`: declare it in the manifest/);
        class Alone {
            constructor(setup) {
                setup.child("other");
            }
            process() {}
        }
        assert.throws(() => new TestProcessor(Alone), /there is no child `other`, but \["child"\]/);
    });
});

describe("a record", () => {
    const short = Record.of({ key: "key", value: new Uint8Array([0xff]) });
    const reason = (read) => {
        try {
            read();
        } catch (error) {
            assert.ok(error instanceof ProcessorError);
            return error.message;
        }
        return "no error";
    };

    it("says what is wrong with a value of another form", () => {
        assert.equal(
            reason(() => short.valueAs(long)),
            "the value has 1 bytes where 8 are expected",
        );
        assert.equal(
            reason(() => short.valueAs(text)),
            "the value is not UTF-8",
        );
        assert.equal(
            reason(() => short.withKey(null).keyAs(text)),
            "the key is null",
        );
        assert.equal(short.withValue(null).valueAs(optional(text)), null);
        assert.match(
            reason(() => short.withValue("{").valueAs(json)),
            /^the value is not the JSON that is expected: /,
        );
        assert.deepEqual(short.withValue("[1, 2]").valueAs(json), [1, 2]);
    });

    it("reads what it writes, at the limits", () => {
        const cases = [
            [long, 2n ** 63n - 1n],
            [long, -(2n ** 63n)],
            [long, -1n],
            [safeLong, 2 ** 53 - 1],
            [safeLong, -(2 ** 53) + 1],
            [safeLong, -1],
            [integer, -(2 ** 31)],
            [double, -0.1],
            [double, Infinity],
            [json, { a: ["é", null] }],
            [text, "é\u{1f600}"],
            [optional(text), null],
        ];
        for (const [serde, value] of cases) {
            const written = short.withValue(value, serde);
            assert.deepEqual(written.valueAs(serde), value);
            // Through a column, alone and with others.
            for (const others of [[], [short], [short.withValue(null)]]) {
                class Echo {
                    process(record, context) {
                        context.forward(record.withKey(null).withValue(record.valueAs(optional(bytes))));
                    }
                }
                const echo = new TestProcessor(Echo);
                echo.processBatch([written, ...others]);
                assert.deepEqual(echo.takeForwarded()[0].valueAs(serde), value);
            }
        }
        assert.equal(Buffer.from(short.withValue(-2n, long).value).toString("hex"), "fffffffffffffffe");
        assert.throws(() => short.withValue(2n ** 63n, long), RangeError);
        assert.throws(() => short.withValue(1.5, integer), RangeError);
        assert.throws(() => short.withValue(7), /name a serde/);
        assert.throws(() => short.withTimestamp(-1), RangeError);
        assert.throws(() => short.withTimestamp(2 ** 53), RangeError);
        assert.equal(short.withTimestamp(7n).timestamp, 7);
        assert.equal(
            reason(() => short.withValue(2n ** 60n, long).valueAs(safeLong)),
            "the value is past the safe integers of JavaScript: read it as `long`",
        );
    });

    it("keeps null, empty and what is no text apart in a batch", () => {
        class Echo {
            process(record, context) {
                context.forward(record);
            }
        }
        const odd = [null, "", new Uint8Array([0xff, 0xfe]), "é", "ascii"];
        const records = odd.flatMap((key) =>
            odd.map((value) =>
                record({
                    key,
                    value,
                    headers: [
                        ["h", value],
                        ["h", null],
                    ],
                }),
            ),
        );
        const test = new TestProcessor(Echo);
        test.processBatch(records);
        const seen = test.takeForwarded();
        assert.deepEqual(seen.map(flat), records.map(flat));
    });
});

describe("a batch", () => {
    it("is changed as columns and forwarded as a whole", () => {
        class Capitals {
            processBatch(batch, context) {
                context.forwardBatch(batch.withValues(batch.valuesAs(text).map((value) => value.toUpperCase())));
                context.forwardBatch(batch.select([1]).withKeys(["picked"]));
            }
        }
        const test = new TestProcessor(Capitals);
        test.processBatch([
            record({ key: "a", value: "x", timestamp: 1 }),
            record({ key: null, value: "é", timestamp: 2, headers: [["h", "1"]] }),
        ]);
        const seen = test.takeForwarded().map(flat);
        assert.deepEqual(seen, [
            ["a", "X", 1, []],
            [null, "É", 2, [["h", "1"]]],
            ["picked", "é", 2, [["h", "1"]]],
        ]);
    });

    it("blames the one record of a batch, and leaves larger ones to the host", () => {
        class Failing {
            processBatch(batch, context) {
                context.forwardBatch(batch);
                throw new DeadLetter("bad");
            }
        }
        const test = new TestProcessor(Failing);
        assert.equal(test.processBatch([record({ value: "x" })])[0].error.reaction, "dead-letter");
        assert.deepEqual(test.takeForwarded(), []);
        assert.throws(() => test.processBatch([record({}), record({})]), DeadLetter);
    });

    it("has rows whose failure is their own", () => {
        class Odd {
            constructor(setup) {
                this.store = setup.store("store");
            }
            processBatch(batch, context) {
                assert.throws(() => this.store.put("k", "v"), /putAt/);
                for (let row = 0; row < batch.length; row++) {
                    const goesOn = context.row(row, () => {
                        this.store.put(`k${row}`, "v");
                        context.forward(batch.record(row));
                        if (row % 2 === 1) throw new Skip("odd");
                    });
                    if (!goesOn) break;
                }
            }
        }
        const test = new TestProcessor(Odd, { stores: ["store"] });
        const failures = test.processBatch([1, 2, 3, 4].map((n) => record({ value: String(n), timestamp: n })));
        assert.deepEqual(
            failures.map(({ row }) => row),
            [1, 3],
        );
        assert.deepEqual(values(test), ["1", "3"]);
        assert.deepEqual(
            [0, 1, 2].map((n) => test.stored("store", `k${n}`) !== null),
            [true, false, true],
        );
    });
});

describe("a punctuation", () => {
    class Clock {
        constructor(setup) {
            this.strikes = 0;
            setup.schedule(100, "stream-time");
            setup.schedule(1000, "wall-clock-time", (now, context) => {
                context.forward(Record.of({ key: "wall", timestamp: now }));
                context.commit();
            });
            assert.throws(() => setup.schedule(0, "stream-time"), /1 ms or more/);
            assert.throws(() => setup.scheduleAt(-1, 10, "stream-time"), /negative/);
        }
        process(record, context) {
            context.forward(record.withKey("record").withTimestamp(context.streamTime()));
        }
        punctuate(punctuation, kind, now, context) {
            assert.equal(kind, "stream-time");
            context.forward(Record.of({ key: "stream", timestamp: now }));
            if (++this.strikes === 2) context.cancel(punctuation);
        }
    }

    it("fires when it is due and ends when it is cancelled", () => {
        const test = new TestProcessor(Clock);
        for (const timestamp of [7, 99, 100, 350, 400]) test.process(record({ timestamp }));
        test.advanceWallClockTime(999);
        test.advanceWallClockTime(1);
        const seen = test.takeForwarded().map((forwarded) => [forwarded.keyAs(text), forwarded.timestamp]);
        assert.deepEqual(seen, [
            ["record", 7],
            ["stream", 7],
            ["record", 99],
            ["record", 100],
            ["stream", 100],
            ["record", 350],
            ["record", 400],
            ["wall", 1000],
        ]);
        assert.equal(test.commitsRequested, 1);
    });
});

describe("a store", () => {
    it("is read ahead for the other records when the choice of keys fails for one", () => {
        class Chooser {
            constructor(setup) {
                const choose = (record) => [record.valueAs(json).of, null];
                this.store = setup.store("store", { keys: text, values: text }).readAhead(choose);
            }
            process(record, context) {
                let order;
                try {
                    order = record.valueAs(json);
                } catch {
                    throw new DeadLetter("no order");
                }
                context.forward(record.withValue(this.store.get(order.of) ?? "none"));
            }
        }
        const orders = ["a", "b", "a"].map((of) => record({ value: JSON.stringify({ of }) }));
        const begin = () => new TestProcessor(Chooser, { entries: { store: [["a", "1"]] } });
        const test = begin();
        for (let times = 2; times > 0; times--) {
            const failures = test.processBatch([orders[0], record({ value: "{" }), ...orders.slice(1)]);
            assert.deepEqual(
                failures.map(({ row, error }) => [row, error.reaction]),
                [[1, "dead-letter"]],
            );
            assert.deepEqual(values(test), ["1", "none", "1"]);
            assert.equal(test.hostCalls, 2, "get-many, forward");
        }
        assert.equal(test.logged.length, 1, "a bad record in each batch does not fill the log");
        assert.match(test.logged[0], /^warn: nothing is read ahead of store `store` for a record: the value is not/);
        const single = begin();
        assert.throws(() => single.process(record({ value: "{" })), DeadLetter);
    });

    it("is not read ahead by what is to go on later", () => {
        const begin = (choose) => {
            class Chooser {
                constructor(setup) {
                    setup.store("store").readAhead(choose);
                }
                process(record, context) {
                    context.forward(record);
                }
            }
            return new TestProcessor(Chooser, { stores: ["store"] });
        };
        assert.throws(() => begin(async () => "a"), /the function of `readAhead` must not be async: a record's work ends/);
        assert.throws(() => begin(function* () {}), /the function of `readAhead` must not be a generator/);
        const test = begin(() => Promise.resolve("a"));
        assert.deepEqual(test.processBatch([record({}), record({})]), []);
        assert.match(test.logged[0], /the function of `readAhead` must not be async or return a promise/);
    });

    it("walks in the order of bytes, both ways, while it is written to", () => {
        class Walker {
            constructor(setup) {
                this.store = setup.store("store", { keys: text, values: safeLong });
            }
            process(record, context) {
                this.store.putMany([
                    ["a", 1],
                    ["b", 2],
                    ["ba", 3],
                    ["c", 4],
                    ["é", 5],
                ]);
                const keys = (walk) => Array.from(walk, ({ key, value }) => `${key}${value}`).join(" ");
                const seen = [
                    keys(this.store.all()),
                    keys(this.store.range("b", "c", "descending")),
                    keys(this.store.range("c", "b")),
                    keys(this.store.prefix("b")),
                    keys(this.store.prefix("b", "descending")),
                    this.store.getMany(["c", "none", "a"]).join(),
                    this.store.putIfAbsent("a", 9),
                    this.store.putIfAbsent("d", 9),
                ];
                for (const { key } of this.store.all()) this.store.delete(key);
                seen.push(this.store.approximateEntries());
                this.store.putAt("x", 1, 2n ** 53n + 1n);
                for (const { timestamp } of this.store.all()) seen.push(timestamp);
                seen.push(this.store.getWithTimestamp("x").timestamp);
                context.forward(record.withValue(seen.join("|")));
            }
        }
        const test = new TestProcessor(Walker, { stores: ["store"] });
        test.process(record({}));
        assert.deepEqual(values(test), [
            "a1 b2 ba3 c4 é5|c4 ba3 b2||b2 ba3|ba3 b2|4,,1|1||0|9007199254740993|9007199254740993",
        ]);
    });
});

describe("a function", () => {
    const functions = plugin({
        predicates: { "is-even": (record) => record.value !== null && record.valueAs(long) % 2n === 0n },
        keySelectors: { "by-value": (record) => record.value },
    });

    it("answers for each record, or says why it can't", () => {
        const records = [record({ value: null }), ...[2n, 3n].map((value) => record({}).withValue(value, long))];
        assert.deepEqual(askPredicate(functions, "is-even", records), [false, true, false]);
        assert.throws(
            () => askPredicate(functions, "is-even", [record({ value: "x" })]),
            /the value has 1 bytes where 8 are expected/,
        );
        const keys = askKeySelector(functions, "by-value", [
            record({ value: "" }),
            record({ value: null }),
            record({ value: "é" }),
        ]);
        assert.deepEqual(
            keys.map((key) => key && Buffer.from(key).toString()),
            ["", null, "é"],
        );
        assert.throws(
            () => askPredicate(functions, "none", []),
            /there is no predicate `none` in this plugin, but \["is-even"\]/,
        );
        assert.deepEqual(functions.worlds, ["plugin-predicate", "plugin-key-selector"]);
    });

    it("must be one", () => {
        assert.throws(() => plugin({}), /name one/);
        assert.throws(() => plugin({ processors: { a: () => {} } }), /the processor `a` has no method `process`/);
        assert.throws(() => plugin({ predicates: { a: 1 } }), /the predicate `a` is no function/);
    });

    it("must not be async, nor a generator", () => {
        class Async {
            async process() {}
        }
        class Closing {
            process() {}
            *close() {}
        }
        const processors = (a) => plugin({ processors: { a } });
        assert.throws(() => processors(Async), /`process` of the processor `a` must not be async: a record's work ends/);
        assert.throws(() => processors(Closing), /`close` of the processor `a` must not be a generator/);
        assert.throws(() => plugin({ predicates: { a: async () => true } }), /the predicate `a` must not be async/);
        assert.throws(() => plugin({ keySelectors: { a: function* () {} } }), /the key selector `a` must not be a gen/);
        const late = plugin({
            predicates: { a: () => Promise.resolve(false) },
            keySelectors: { a: () => Promise.resolve("k") },
        });
        assert.throws(() => askPredicate(late, "a", [record({})]), /a predicate must not be async or return a promise/);
        assert.throws(() => askKeySelector(late, "a", [record({})]), /a key selector must not be async or return a/);
    });
});

describe("text for the host", () => {
    it("has no half of a character", () => {
        for (const native of [String.prototype.toWellFormed, undefined]) {
            const own = Object.getOwnPropertyDescriptor(String.prototype, "toWellFormed");
            try {
                if (native === undefined) delete String.prototype.toWellFormed;
                for (const [given, expected] of [
                    ["", ""],
                    ["aé\u{1f600}", "aé\u{1f600}"],
                    ["\ud83d\ude00", "\u{1f600}"],
                    ["a\ud800b\udc00\udc00", "a\ufffdb\ufffd\ufffd"],
                    ["\ud800\ud83d\ude00\ud800", "\ufffd\u{1f600}\ufffd"],
                ]) {
                    assert.equal(wellFormed(given), expected);
                }
                assert.equal(wellFormed(undefined), "undefined");
            } finally {
                if (own !== undefined) Object.defineProperty(String.prototype, "toWellFormed", own);
            }
        }
    });
});

describe("chance", () => {
    it("is the host's, anew in each call", () => {
        const asked = [];
        randomBytesFrom((length) => {
            asked.push(length);
            return Uint8Array.from({ length }, (_, index) => index * 37 + asked.length * 11);
        });
        const early = random();
        assert.ok(early >= 0 && early < 1);
        assert.throws(() => crypto.randomUUID(), /no random bytes at the top of a module/);
        assert.deepEqual(asked, [], "there is no host yet");

        const seen = [];
        for (let call = 0; call < 3; call++) {
            beginCall();
            seen.push(random(), random());
        }
        assert.deepEqual(asked, [16, 16, 16], "once a call");
        assert.equal(new Set(seen).size, 6);
        assert.ok(seen.every((number) => number >= 0 && number < 1));
        const tenths = new Array(10).fill(0);
        for (let left = 100000; left > 0; left--) tenths[Math.floor(random() * 10)]++;
        assert.ok(Math.min(...tenths) > 9500 && Math.max(...tenths) < 10500, tenths.join());

        assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        const words = new Uint32Array(6);
        assert.equal(crypto.getRandomValues(words.subarray(2, 4)).length, 2);
        assert.deepEqual(
            Array.from(words, (word) => word !== 0),
            [false, false, true, true, false, false],
        );
        assert.throws(() => crypto.getRandomValues([1]), TypeError);
        assert.throws(() => crypto.getRandomValues(new Uint8Array(65537)), RangeError);
    });
});

describe("the package", () => {
    const directory = fileURLToPath(new URL("..", import.meta.url));

    it("has its license with it", () => {
        const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: directory }));
        assert.ok(files.some(({ path }) => path === "LICENSE"));
        assert.equal(readFileSync(`${directory}/LICENSE`, "utf8"), readFileSync(`${directory}/../../LICENSE`, "utf8"));
    });
});

function show(headers) {
    return Array.from(headers, ([key, value]) => [key, value === null ? null : Buffer.from(value).toString("latin1")]);
}

function flat({ key, value, timestamp, headers }) {
    const readable = (data) => (data === null ? null : Buffer.from(data).toString());
    return [readable(key), readable(value), timestamp, show(headers).map(([name, data]) => [name, data])];
}
