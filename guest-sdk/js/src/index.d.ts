// What the package `@millstream/sdk` is to TypeScript, and the place where every word of it is explained.

/**
 * Milliseconds since the epoch. One past 2^53, which no clock gives, is a bigint when the program runs, so that nothing
 * is rounded in silence.
 */
export type Timestamp = number;

/** Which time a punctuation follows: the task's stream time, or the time of the machine's clock. */
export type PunctuationType = "stream-time" | "wall-clock-time";

/** In which direction a walk goes. */
export type Order = "ascending" | "descending";

// === Plugins ===

/**
 * A processor: a node of a topology that takes records and forwards records.
 *
 * One is made for each task, and again after a failure or when the host replaces the instance: what it keeps in its
 * fields, and in variables of its module, is a cache. State belongs in stores.
 */
export interface Processor {
    /**
     * Processes one record. What it throws says that the record was not processed: what it forwarded and wrote is taken
     * back, and the host does what the `ProcessorError` asks for. Any other error is logged with its stack and is
     * `Fatal`. A promise or a generator that is returned is an error, here and in all other functions of a plugin.
     */
    process?(record: Record, context: Context): Done;
    /**
     * Processes a batch instead, for work that is quicker on many records. The result must be that of one record at a
     * time. What it throws ends the call, and the host gives the records again, one by one; see `Context.row`.
     */
    processBatch?(batch: Batch, context: Context): Done;
    /** A punctuation without a punctuator of its own is due. `timestamp` is the stream time or wall-clock time now. */
    punctuate?(punctuation: Punctuation, kind: PunctuationType, timestamp: Timestamp, context: Context): Done;
    /** The task is about to be closed or given away. Nothing can be forwarded or written any more. */
    close?(): Done;
}

/** What is done with a record is done when the method returns: nobody waits for a promise, so `async` is an error. */
export type Done = void | undefined;

/** A class of processors; its constructor begins one, and what it throws is the reason why it can't begin. */
export type ProcessorClass = new (setup: Setup) => Processor;

/** What a plugin contains, by the names that a manifest calls them. */
export interface PluginContents {
    processors?: { [name: string]: ProcessorClass };
    /** Functions for the native `filter` and `split`: yes or no of a record. */
    predicates?: { [name: string]: (record: Record) => boolean };
    /** Functions for the native `group-by`: a record's key; null and undefined are none. */
    keySelectors?: { [name: string]: (record: Record) => Uint8Array | string | null | undefined };
}

/** A plugin, which its module exports as the default. */
export class Plugin {
    private constructor();
    /** The worlds of `wit/world.wit` that it is of. */
    readonly worlds: string[];
}

/** A plugin: `export default plugin({ processors: { shout: Shout } })`. */
export function plugin(contents: PluginContents): Plugin;

/** What a processor is told when it begins; it also opens stores and schedules punctuations. */
export interface Setup extends Scheduler {
    /** Which of the plugin's processors this is. */
    readonly processor: string;
    /** The node's name in the topology. */
    readonly node: string;
    /** The task: number of the sub-topology, underscore, partition (`0_3`). */
    readonly task: string;
    /** The names of the nodes below this one. */
    readonly children: readonly string[];
    /** The names of the stores that this node may open. */
    readonly stores: readonly string[];
    /** All settings of the node. */
    readonly settings: ReadonlyMap<string, string>;
    /** A setting of the node; undefined if the application gives none. */
    config(key: string): string | undefined;
    /** A setting of the node that must be there; the error names it. */
    required(key: string): string;
    /** The node below this one with that name, for `Context.forwardTo`. */
    child(name: string): Child;
    /**
     * Opens a store of the node. Without a serde, keys and values are bytes, and strings are taken, too.
     *
     *     this.counts = setup.store("counts", { keys: text, values: safeLong }).readAhead();
     */
    store<K = BytesOut, V = BytesOut>(name: string, serdes?: StoreSerdes<K, V>): KeyValueStore<K, V>;
}

/** What can be done in the beginning as well as later. */
export interface Scheduler {
    /**
     * Calls `punctuator`, or without one the processor's `punctuate`, every `intervalMs` milliseconds. By stream time
     * first as soon as the stream time is known, by wall-clock time after one interval; intervals that nobody had time
     * for are skipped.
     */
    schedule(intervalMs: number, kind: PunctuationType, punctuator?: Punctuator): Punctuation;
    /** As `schedule`, first due at `start`, and in that rhythm. */
    scheduleAt(start: Timestamp, intervalMs: number, kind: PunctuationType, punctuator?: Punctuator): Punctuation;
    /** Ends a punctuation; it may be the one that is being called. */
    cancel(punctuation: Punctuation): void;
    /** The task's stream time at the record that is processed; -1 before any record. */
    streamTime(): Timestamp;
    /** The wall-clock time; it stands still during a batch. */
    wallClockTime(): Timestamp;
    /** Asks for a commit soon. */
    commit(): void;
}

/** What is called when a punctuation is due. It may throw as `Processor.process` may. */
export type Punctuator = (timestamp: Timestamp, context: Context) => void;

/** A punctuation that was scheduled. */
export interface Punctuation {
    readonly id: number;
}

/** A node below this one; `Setup.child` finds it. */
export interface Child {
    readonly index: number;
    readonly name: string;
}

/** Where a record came from. */
export interface Metadata {
    /** The topic; empty in a punctuation. */
    topic: string;
    /** The partition; -1 in a punctuation. */
    partition: number;
    /** The offset; -1 in a punctuation. */
    offset: number;
}

/** What a processor can do while it is called: forward, schedule, ask for times and for where a record came from. */
export interface Context extends Scheduler {
    /** Forwards a record to every child. Children get it after the call. */
    forward(record: Record): void;
    /** Forwards a record to one child. */
    forwardTo(child: Child, record: Record): void;
    /** In `processBatch`: forwards the batch that came in, or one made from it, to every child. */
    forwardBatch(batch: Batch): void;
    /** As `forwardBatch`, to one child. */
    forwardBatchTo(child: Child, batch: Batch): void;
    /** Where the record that is processed came from; empty topic and -1 in a punctuation, null in the beginning. */
    metadata(): Metadata | null;
    /**
     * In `processBatch`: does the work for the record at `row`. What `work` forwards and writes belongs to that record,
     * and is taken back if it throws. False when the rest of the batch must not be processed. Rows must ascend.
     */
    row(row: number, work: (context: Context) => void): boolean;
}

// === Records ===

/** A header's value as it is given: bytes, a string (UTF-8), or null. */
export type HeaderValue = Uint8Array | string | null;

/** A record in the making. */
export interface RecordFields {
    key?: Uint8Array | string | null;
    value?: Uint8Array | string | null;
    timestamp?: Timestamp | bigint;
    headers?: Headers | Iterable<[string, HeaderValue]>;
}

/**
 * A record. It never changes; the `with...` methods give a changed one, and what they don't change is passed along:
 * timestamp and headers too, as in Kafka Streams. Bytes are not copied: don't write to those that a record gave or got.
 */
export class Record {
    private constructor();
    /**
     * A record that comes from no batch, without headers unless they are given. In `process`, prefer to derive it from
     * the one that came in.
     */
    static of(fields?: RecordFields): Record;
    /** The key's bytes, or null. */
    readonly key: Uint8Array | null;
    /** The value's bytes; null is a tombstone. */
    readonly value: Uint8Array | null;
    /** Milliseconds since the epoch. */
    readonly timestamp: Timestamp;
    readonly headers: Headers;
    /**
     * The key, read by a serde; a `Fatal` error when it is null (unless the serde is `optional`) or has another form.
     */
    keyAs<T>(serde: Serde<T>): T;
    /** The value, as `keyAs`: `record.valueAs<Order>(json)`. */
    valueAs<T>(serde: Serde<T>): T;
    /** With another key: bytes, a string (UTF-8), null, or what a serde writes. */
    withKey(key: Uint8Array | string | null): Record;
    withKey<T>(key: T, serde: Serde<T>): Record;
    /** With another value, as `withKey`. */
    withValue(value: Uint8Array | string | null): Record;
    withValue<T>(value: T, serde: Serde<T>): Record;
    /** With another timestamp; it must not be negative. */
    withTimestamp(timestamp: Timestamp | bigint): Record;
    /** With other headers. */
    withHeaders(headers: Headers | Iterable<[string, HeaderValue]>): Record;
}

/** Headers: keys and values in their order; a key may occur again, a value may be null. They never change. */
export class Headers implements Iterable<[string, Uint8Array | null]> {
    constructor(pairs?: Iterable<[string, HeaderValue]>);
    /** How many there are. */
    readonly length: number;
    [Symbol.iterator](): Iterator<[string, Uint8Array | null]>;
    /** The value of the last header with this key; undefined when there is none. */
    last(key: string): Uint8Array | null | undefined;
    /** With one more header; others with the same key stay. */
    with(key: string, value: HeaderValue): Headers;
    /** Without all headers of this key. */
    without(key: string): Headers;
}

/**
 * A batch of records, as columns. It never changes: `withKeys`, `withValues` and `select` give another one, which
 * shares what they don't change; reading and writing whole columns costs a fraction of what the records cost one by
 * one.
 */
export class Batch implements Iterable<Record> {
    private constructor();
    /** The number of records. */
    readonly length: number;
    [Symbol.iterator](): Iterator<Record>;
    /** The record at an index. */
    record(index: number): Record;
    /** All keys: bytes, or null. */
    readonly keys: (Uint8Array | null)[];
    /** All values: bytes, or null. */
    readonly values: (Uint8Array | null)[];
    readonly timestamps: Timestamp[];
    /**
     * All keys, read by a serde; an error for the first that is null (unless the serde is `optional`) or has another
     * form.
     */
    keysAs<T>(serde: Serde<T>): T[];
    /** All values, as `keysAs`. */
    valuesAs<T>(serde: Serde<T>): T[];
    /** With other keys, as many as there are records. */
    withKeys(keys: readonly (Uint8Array | string | null)[]): Batch;
    withKeys<T>(keys: readonly T[], serde: Serde<T>): Batch;
    /** With other values, as `withKeys`. */
    withValues(values: readonly (Uint8Array | string | null)[]): Batch;
    withValues<T>(values: readonly T[], serde: Serde<T>): Batch;
    /** Only the records at these indices, in this order. */
    select(indices: readonly number[]): Batch;
}

// === Serdes ===

/** How values become bytes and back. One of your own needs no more than these two. */
export interface Serde<T> {
    /** Reads bytes; what it throws becomes the reason why the record can't be processed. */
    decode(data: Uint8Array): T;
    /** Writes bytes, or a string that is written as UTF-8. */
    encode(value: T): Uint8Array | string;
}

/** The bytes themselves. */
export const bytes: Serde<Uint8Array>;
/** UTF-8, as Kafka's StringSerializer writes it. */
export const text: Serde<string>;
/** JSON; TypeScript takes your word for its type: `record.valueAs<Order>(json)`. */
export const json: Serde<any>;
/** As Kafka's LongSerializer writes it: 8 bytes, big-endian; a bigint here. */
export const long: Serde<bigint>;
/** As `long`, but a number here, which is quicker; beyond 2^53 it throws. */
export const safeLong: Serde<number>;
/** As Kafka's IntegerSerializer writes it. */
export const integer: Serde<number>;
/** As Kafka's ShortSerializer writes it. */
export const short: Serde<number>;
/** As Kafka's DoubleSerializer writes it. */
export const double: Serde<number>;
/** As Kafka's FloatSerializer writes it. */
export const float: Serde<number>;
/** As `serde`, and null where there is nothing. */
export function optional<T>(serde: Serde<T>): Serde<T | null>;

// === Stores ===

/** Keys or values of a store without a serde: bytes come out, strings (UTF-8) may go in. */
export type BytesOut = Uint8Array;
/** What may be given where `T` is stored. */
export type Given<T> = T extends Uint8Array ? Uint8Array | string : T;

/** How a store's keys and values are read and written. */
export interface StoreSerdes<K, V> {
    keys?: Serde<K>;
    values?: Serde<V>;
}

/**
 * A key-value store of the task. Reads see every write that this task made before. What a record wrote is taken back
 * when its processing fails. Keys are ordered by their bytes. Writes carry the timestamp of the record that is
 * processed, unless another is given, and go to the host once a batch.
 */
export class KeyValueStore<K = BytesOut, V = BytesOut> {
    private constructor();
    readonly name: string;
    /** Another face of the same store, with other serdes. */
    as<L = BytesOut, W = BytesOut>(serdes?: StoreSerdes<L, W>): KeyValueStore<L, W>;
    /**
     * Reads the entries of all records' keys at the beginning of each batch, in one call of the host. With `choose`,
     * reads the keys that it gives for a record instead; of a record for which it throws, nothing is read ahead.
     */
    readAhead(choose?: (record: Record) => Given<K> | Given<K>[] | null | undefined): this;
    /** The value of `key`, or null. */
    get(key: Given<K>): V | null;
    /** The value of `key` with its timestamp, which is -1 in a store that keeps none; or null. */
    getWithTimestamp(key: Given<K>): { value: V; timestamp: Timestamp } | null;
    /** The values of many keys, null for those that are not there, in one call of the host. */
    getMany(keys: readonly Given<K>[]): (V | null)[];
    /** Sets the value of `key`; null deletes it. */
    put(key: Given<K>, value: Given<V> | null): void;
    /** As `put`, with another timestamp than that of the record. */
    putAt(key: Given<K>, value: Given<V> | null, timestamp: Timestamp | bigint): void;
    /** Sets the values of many keys. */
    putMany(entries: Iterable<readonly [Given<K>, Given<V> | null]>): void;
    /** Sets the value of `key` if there is none; returns what was there, or null. */
    putIfAbsent(key: Given<K>, value: Given<V>): V | null;
    /** Removes `key`. */
    delete(key: Given<K>): void;
    /** The entries from `lowest` to `highest`, both included; null means no bound. */
    range(lowest: Given<K> | null, highest: Given<K> | null, order?: Order): IterableIterator<Entry<K, V>>;
    /** All entries. */
    all(): IterableIterator<Entry<K, V>>;
    /** The entries whose keys begin with `prefix`: bytes or a string. */
    prefix(prefix: Uint8Array | string, order?: Order): IterableIterator<Entry<K, V>>;
    /** About how many entries the store has. Cheap. */
    approximateEntries(): number;
}

/** An entry of a store. */
export interface Entry<K, V> {
    key: K;
    value: V;
    /** The timestamp kept with the value; -1 in a store that keeps none. */
    timestamp: Timestamp;
}

// === Errors and the log ===

/** What the host is to do about a record that was not processed. */
export type Reaction = "skip" | "dead-letter" | "retry" | "fatal";

/** A record can't be processed: the reaction asked for, and the reason (`message`). Throw one of those below. */
export class ProcessorError extends Error {
    constructor(reaction: Reaction, reason: string, options?: { cause?: unknown });
    readonly reaction: Reaction;
}

/** Leave the record out, count it, go on. */
export class Skip extends ProcessorError {
    constructor(reason: string, options?: { cause?: unknown });
}

/** Send the record to the dead-letter topic, go on. */
export class DeadLetter extends ProcessorError {
    constructor(reason: string, options?: { cause?: unknown });
}

/** A dependency is away, the record is good: give it again later. */
export class Retry extends ProcessorError {
    constructor(reason: string, options?: { cause?: unknown });
}

/** Do what the plugin's policy in the manifest says: stop the task (the default), skip, or dead-letter. */
export class Fatal extends ProcessorError {
    constructor(reason: string, options?: { cause?: unknown });
}

/** Lines for the log of the host. `console` writes there, too. */
export const log: {
    trace(message: unknown): void;
    debug(message: unknown): void;
    info(message: unknown): void;
    warn(message: unknown): void;
    error(message: unknown): void;
};
