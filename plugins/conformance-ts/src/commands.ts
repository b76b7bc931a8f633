// The processor `do`: carries out the command in a record's key.

import {
    type Child,
    type Context,
    type KeyValueStore,
    type Order,
    type Processor,
    type Punctuation,
    type PunctuationType,
    type Serde,
    type Setup,
} from "@millstream/sdk";
import { DeadLetter, Fatal, Record, Retry, Skip, double, json, log, long, optional, text } from "@millstream/sdk";

type Words = string[];
type Answer = <T>(value: Uint8Array | string | null | T, serde?: Serde<T>) => void;
type Level = keyof typeof log;

const REACTIONS: { [reaction: string]: new (reason: string) => Error } = {
    skip: Skip,
    "dead-letter": DeadLetter,
    retry: Retry,
    fatal: Fatal,
};

export class Commands implements Processor {
    private readonly punctuations = new Map<string, Punctuation>();
    private readonly stores: Map<string, KeyValueStore>;
    private readonly children: Child[];
    private readonly about: string;
    private readonly hoard: Uint8Array[] = [];
    private remembered = 0;

    constructor(setup: Setup) {
        const [panicking, failing, other, child] = ["panic-init", "fail-init", "open", "child"].map((key) =>
            setup.config(key),
        );
        if (panicking) throw new Error(`boom: ${panicking}`);
        if (failing) throw new Fatal(failing);
        this.stores = new Map(setup.stores.map((name) => [name, setup.store(name)]));
        if (other) setup.store(other);
        if (child) setup.child(child);
        this.children = setup.children.map((name) => setup.child(name));
        const settings = [...setup.settings]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, value]) => `${key}=${value}`);
        const lists = [setup.children, setup.stores, settings].map((list) => list.join(",") || "-");
        this.about = [setup.processor, setup.node, setup.task, ...lists].join(" ");
        const words = setup.config("schedule");
        if (words) this.schedule(["schedule", ...words.split(" ")], setup);
    }

    process(record: Record, context: Context): void {
        const command = record.keyAs(optional(text));
        if (command === null) return context.forward(record);
        const words = command.split(" ");
        const answer: Answer = (value, serde) =>
            context.forward(record.withValue(value as never, serde as Serde<never>));
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
    private see([word = ""]: Words, record: Record, answer: Answer): boolean {
        const ways: { [word: string]: () => void } = {
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
        else ways[word]?.();
        return true;
    }

    /** Other records. */
    private change([word, operand = ""]: Words, record: Record, context: Context, answer: Answer): boolean {
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
                    this.child(
                        this.children.find(({ name }) => name === operand),
                        operand,
                    ),
                    record,
                );
                return true;
            case "mixed":
                context.forwardTo(this.child(this.children.at(0), "first"), record.withValue("1"));
                answer("2");
                context.forwardTo(this.child(this.children.at(-1), "last"), record.withValue("3"));
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
    private tell([word, operand = ""]: Words, record: Record, context: Context, answer: Answer): boolean {
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
                log[operand as Level](record.valueAs(text));
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

    private access([word = "", name = "", ...rest]: Words, record: Record, answer: Answer): boolean {
        const store = this.stores.get(name)!;
        const [first = "", second = ""] = rest;
        const value = record.value ?? new Uint8Array();
        const bound = (key: string) => (key === "-" ? null : key);
        const ways: { [word: string]: () => void } = {
            put: () => store.put(first, record.value),
            "put-at": () => store.putAt(first, record.value, BigInt(second)),
            "put-self": () => store.put(value, value),
            get: () => answer(store.get(first)),
            "get-self": () => answer(store.get(value)),
            stamped: () => {
                const found = store.as({ values: text }).getWithTimestamp(first);
                answer(found === null ? "none" : `${found.timestamp} ${found.value}`);
            },
            "put-if-absent": () => answer(store.putIfAbsent(first, value)),
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
            "put-many": () => store.putMany(rest.map((key) => [key, record.value] as const)),
            range: () => answer(range(store, bound(first), bound(second), "ascending")),
            "reverse-range": () => answer(range(store, bound(first), bound(second), "descending")),
            prefix: () => answer(prefix(store, first, "ascending")),
            "reverse-prefix": () => answer(prefix(store, first, "descending")),
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
        ways[word]?.();
        return true;
    }

    /** Punctuations, in the beginning as well as later. */
    private schedule([word, name = "", ...rest]: Words, context: Context | Setup): boolean {
        const kind = rest[0] as PunctuationType;
        const times = rest.slice(1).map(Number) as [number, number];
        if (word === "schedule") this.punctuations.set(name, context.schedule(times[0], kind));
        else if (word === "schedule-at") this.punctuations.set(name, context.scheduleAt(times[0], times[1], kind));
        else if (word === "cancel") context.cancel(this.punctuations.get(name)!);
        else return false;
        return true;
    }

    punctuate(punctuation: Punctuation, kind: PunctuationType, timestamp: number, context: Context): void {
        const [name] = [...this.punctuations].find(([, other]) => other === punctuation)!;
        if (name.startsWith("once")) context.cancel(punctuation);
        this.stores.get("plain")?.putAt(name, String(timestamp), timestamp);
        context.forward(Record.of({ key: name, value: `${kind} ${timestamp} ${metadataOf(context)}`, timestamp }));
        if (name.startsWith("panic")) throw new Error(`boom: ${name}`);
        const reaction = Object.keys(REACTIONS).find((prefix) => name.startsWith(prefix));
        if (reaction) throw new REACTIONS[reaction]!(name);
    }

    private misbehave([word = "", operand = ""]: Words, record: Record, context: Context, answer: Answer): boolean {
        if (!["fail", "retry-until", "panic", "spin", "recurse", "hog"].includes(word)) return false;
        context.forward(record);
        this.stores.get("plain")?.put("failed", "1");
        switch (word) {
            case "fail":
                throw new REACTIONS[operand]!(record.valueAs(text));
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
            default:
                this.hoard.push(new Uint8Array(Number(operand) << 20).fill(1));
                answer("ok");
                return true;
        }
    }

    close(): void {
        log.info("closed");
    }

    private child(found: Child | undefined, name: string): Child {
        if (found === undefined) throw new Fatal(`there is no child \`${name}\``);
        return found;
    }
}

function deeper(level: number): number {
    return deeper(level + 1) + 1;
}

function metadataOf(context: Context): string {
    const { topic, partition, offset } = context.metadata()!;
    return `${topic}/${partition}/${offset}`;
}

function range(store: KeyValueStore, lowest: string | null, highest: string | null, order: Order): string {
    return show(store.as({ keys: text, values: text }).range(lowest, highest, order));
}

function prefix(store: KeyValueStore, prefix: string, order: Order): string {
    return show(store.as({ keys: text, values: text }).prefix(prefix, order));
}

function show(entries: Iterable<{ key: string; value: string; timestamp: number }>): string {
    return Array.from(entries, ({ key, value, timestamp }) => `${key}=${value}@${timestamp}`).join(" ");
}
