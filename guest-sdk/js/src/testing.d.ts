// What `@millstream/sdk/testing` is to TypeScript: unit tests of a processor, without Wasm.

import type { Plugin, ProcessorClass, ProcessorError, Record, RecordFields, Serde, Timestamp } from "./index.js";

/** A record for a test: `record({ key: "k", value: "v", timestamp: 1 })`. */
export function record(fields?: RecordFields): Record;

/** A record that was forwarded, and to which child; null means to all. */
export interface Forwarded extends Record {
    readonly child: string | null;
}

/** What a processor is given for a test. */
export interface TestSetup {
    /** Settings of the node. */
    config?: { [key: string]: string };
    /** Children; by default one, named `child`. */
    children?: string[];
    /** Empty stores; they keep timestamps. */
    stores?: string[];
    /** Stores with entries. */
    entries?: { [store: string]: Iterable<[Uint8Array | string, Uint8Array | string]> };
}

/** A processor to be tested. The clock stands still until it is told otherwise. */
export class TestProcessor {
    /** Begins the processor; throws what its constructor throws. Stream time is -1, wall-clock time 0. */
    constructor(Processor: ProcessorClass, setup?: TestSetup);
    /** Gives it one record, then calls the punctuations that are due. Throws as `process` or a punctuation throws. */
    process(record: Record): void;
    /** Gives it records in one batch, then calls the punctuations that are due. Returns the rows that failed. */
    processBatch(records: Record[]): { row: number; error: ProcessorError }[];
    /** Lets time pass on the wall clock, then calls the punctuations that are due. */
    advanceWallClockTime(byMs: Timestamp): void;
    /** Calls `close`. */
    close(): void;
    /** What was forwarded since the last call, in the order of the calls of `forward` for each child. */
    takeForwarded(): Forwarded[];
    /** What a store holds for a key; null for nothing. */
    stored(store: string, key: Uint8Array | string): Uint8Array | null;
    stored<T>(store: string, key: Uint8Array | string, serde: Serde<T>): T | null;
    /** Puts an entry into a store. */
    put(store: string, key: Uint8Array | string, value: Uint8Array | string): void;
    put<T>(store: string, key: Uint8Array | string, value: T, serde: Serde<T>): void;
    /** How many calls into the host the last batch made; a number to keep small. */
    readonly hostCalls: number;
    /** The lines logged so far: level, colon, text. */
    readonly logged: string[];
    /** How often a commit was asked for. */
    readonly commitsRequested: number;
}

/** Asks a predicate of a plugin about records. */
export function askPredicate(plugin: Plugin, name: string, records: Record[]): boolean[];

/** Asks a key selector of a plugin for the records' keys. */
export function askKeySelector(plugin: Plugin, name: string, records: Record[]): (Uint8Array | null)[];
