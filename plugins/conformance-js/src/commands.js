// The processor `do`: carries out the command in a record's key.

import { DeadLetter, Fatal, Record, Retry, Skip, double, json, log, long, optional, text } from "@millstream/sdk";

const REACTIONS = { skip: Skip, "dead-letter": DeadLetter, retry: Retry, fatal: Fatal };

export class Commands {
    punctuations = new Map();
    remembered = 0;
    hoard = [];

    constructor(setup) {
        if (setup.config("panic-init")) throw new Error(`boom: ${setup.config("panic-init")}`);
        if (setup.config("fail-init")) throw new Fatal(setup.config("fail-init"));
        this.stores = new Map(setup.stores.map((name) => [name, setup.store(name)]));
        if (setup.config("open")) setup.store(setup.config("open"));
        if (setup.config("child")) setup.child(setup.config("child"));
        this.children = setup.children.map((name) => setup.child(name));
        const settings = [...setup.settings]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, value]) => `${key}=${value}`);
        const lists = [setup.children, setup.stores, settings].map((list) => list.join(",") || "-");
        this.about = [setup.processor, setup.node, setup.task, ...lists].join(" ");
        const words = setup.config("schedule");
        if (words) this.schedule(["schedule", ...words.split(" ")], setup);
    }

    process(record, context) {
        const command = record.keyAs(optional(text));
        if (command === null) return context.forward(record);
        const words = command.split(" ");
        const answer = (value, serde) => context.forward(record.withValue(value, serde));
        const done =
            this.see(words, record, answer) ||
            this.change(words, record, context, answer) ||
            this.tell(words, record, context, answer) ||
            this.access(words, record, answer) ||
            this.schedule(words, context) ||
            this.misbehave(words, record, context, answer);
        if (!done) throw new Fatal(`unknown command \`${command}\``);
    }

    /** The value, in its forms. */
    see([word], record, answer) {
        const ways = {
            text: () => answer(`${record.valueAs(text)}!`),
            long: () => answer(~record.valueAs(long), long),
            "long-text": () => answer(String(record.valueAs(long))),
            double: () => answer(-record.valueAs(double), double),
            json: () => {
                const object = record.valueAs(json);
                if (typeof object !== "object" || object === null || Array.isArray(object))
                    throw new Fatal("the value is no JSON object");
                answer({ ...object, seen: true }, json);
            },
        };
        if (!Object.hasOwn(ways, word)) return false;
        if (record.value === null) answer(null);
        else ways[word]();
        return true;
    }

    /** Other records. */
    change([word, operand], record, context, answer) {
        const { headers } = record;
        switch (word) {
            case "key":
                context.forward(record.withKey(operand));
                return true;
            case "null-key":
                context.forward(record.withKey(null));
                return true;
            case "null-value":
                answer(null);
                return true;
            case "at":
                context.forward(record.withTimestamp(BigInt(operand)));
                return true;
            case "headers": {
                const changed = headers.without("drop").with("count", String(headers.length)).with("nothing", null);
                context.forward(record.withHeaders(changed));
                return true;
            }
            case "header": {
                const value = headers.last(operand);
                answer(value === undefined ? "none" : value);
                return true;
            }
            case "bare":
                context.forward(record.withHeaders([]));
                return true;
            case "to":
                context.forwardTo(
                    this.child(({ name }) => name === operand, operand),
                    record,
                );
                return true;
            case "mixed":
                context.forwardTo(this.children.at(0), record.withValue("1"));
                answer("2");
                context.forwardTo(this.children.at(-1), record.withValue("3"));
                return true;
            case "flood":
                for (let number = 0; number < Number(operand); number++) answer(String(number));
                return true;
            case "nothing":
                return true;
            default:
                return false;
        }
    }

    /** Where and when, and the log. */
    tell([word, operand], record, context, answer) {
        switch (word) {
            case "metadata":
                answer(metadataOf(context));
                return true;
            case "times":
                answer(`${context.streamTime()} ${context.wallClockTime()}`);
                return true;
            case "setup":
                answer(this.about);
                return true;
            case "remember":
                answer(String(++this.remembered));
                return true;
            case "commit":
                context.commit();
                answer("ok");
                return true;
            case "log":
                log[operand](record.valueAs(text));
                return true;
            case "log-many":
                for (let left = Number(operand); left > 0; left--) log.info(record.valueAs(text));
                return true;
            case "print":
                console.log(record.valueAs(text));
                return true;
            case "print-error":
                console.error(record.valueAs(text));
                return true;
            default:
                return false;
        }
    }

    access([word, name, ...rest], record, answer) {
        const store = this.stores.get(name);
        const [first, second] = rest;
        const bound = (key) => (key === "-" ? null : key);
        const ways = {
            put: () => store.put(first, record.value),
            "put-at": () => store.putAt(first, record.value, BigInt(second)),
            "put-self": () => store.put(record.value, record.value),
            get: () => answer(store.get(first)),
            "get-self": () => answer(store.get(record.value)),
            stamped: () => {
                const found = store.as({ values: text }).getWithTimestamp(first);
                answer(found === null ? "none" : `${found.timestamp} ${found.value}`);
            },
            "put-if-absent": () => answer(store.putIfAbsent(first, record.value)),
            delete: () => {
                const before = store.get(first);
                store.delete(first);
                answer(before);
            },
            "get-many": () =>
                answer(
                    store
                        .as({ values: text })
                        .getMany(rest)
                        .map((value) => value ?? "-")
                        .join(","),
                ),
            "put-many": () => store.putMany(rest.map((key) => [key, record.value])),
            range: () => answer(show(store, "range", bound(first), bound(second))),
            "reverse-range": () => answer(show(store, "range", bound(first), bound(second), "descending")),
            prefix: () => answer(show(store, "prefix", first ?? "")),
            "reverse-prefix": () => answer(show(store, "prefix", first ?? "", "descending")),
            entries: () => answer(String(store.approximateEntries())),
            clear: () => {
                let count = 0;
                for (const { key } of store.all()) {
                    store.delete(key);
                    count++;
                }
                answer(String(count));
            },
            cursors: () => {
                const walks = Array.from({ length: Number(first) }, () => {
                    const walk = store.all();
                    walk.next();
                    return walk;
                });
                answer(walks.length === Number(first) ? "ok" : "too few");
            },
            "put-sized": () => store.put("x".repeat(Number(first)), "x".repeat(Number(second))),
        };
        if (!Object.hasOwn(ways, word)) return false;
        if (store === undefined) throw new Fatal(`there is no store \`${name}\``);
        ways[word]();
        return true;
    }

    /** Punctuations, in the beginning as well as later. */
    schedule([word, name, ...rest], context) {
        const [kind, ...times] = rest;
        if (word === "schedule") this.punctuations.set(name, context.schedule(Number(times[0]), kind));
        else if (word === "schedule-at")
            this.punctuations.set(name, context.scheduleAt(Number(times[0]), Number(times[1]), kind));
        else if (word === "cancel") context.cancel(this.punctuations.get(name));
        else return false;
        return true;
    }

    punctuate(punctuation, kind, timestamp, context) {
        const [name] = [...this.punctuations].find(([, other]) => other === punctuation);
        if (name.startsWith("once")) context.cancel(punctuation);
        this.stores.get("plain")?.putAt(name, String(timestamp), timestamp);
        context.forward(Record.of({ key: name, value: `${kind} ${timestamp} ${metadataOf(context)}`, timestamp }));
        if (name.startsWith("panic")) throw new Error(`boom: ${name}`);
        const reaction = Object.keys(REACTIONS).find((prefix) => name.startsWith(prefix));
        if (reaction) throw new REACTIONS[reaction](name);
    }

    misbehave([word, operand], record, context, answer) {
        if (!["fail", "retry-until", "panic", "spin", "recurse", "hog"].includes(word)) return false;
        context.forward(record);
        this.stores.get("plain")?.put("failed", "1");
        switch (word) {
            case "fail":
                throw new REACTIONS[operand](record.valueAs(text));
            case "retry-until":
                if (context.wallClockTime() < Number(operand)) throw new Retry("not yet");
                return true;
            case "panic":
                throw new Error(`boom: ${record.valueAs(text)}`);
            case "spin":
                for (;;);
            case "recurse":
                answer(String(deeper(0)));
                return true;
            case "hog":
                this.hoard.push(new Uint8Array(Number(operand) << 20).fill(1));
                answer("ok");
                return true;
        }
    }

    close() {
        log.info("closed");
    }

    child(isWanted, name) {
        const child = this.children.find(isWanted);
        if (child === undefined) throw new Fatal(`there is no child \`${name}\``);
        return child;
    }
}

function deeper(level) {
    return deeper(level + 1) + 1;
}

function metadataOf(context) {
    const { topic, partition, offset } = context.metadata();
    return `${topic}/${partition}/${offset}`;
}

function show(store, method, ...bounds) {
    const entries = Array.from(store.as({ keys: text, values: text })[method](...bounds));
    return entries.map(({ key, value, timestamp }) => `${key}=${value}@${timestamp}`).join(" ");
}
