// What a plugin is: processors, predicates and key selectors by the names that a manifest calls them.

import { atOnce, refuseLater } from "./at-once.js";
import { Batch } from "./batch.js";
import { Fatal, ProcessorError, reasonOf, traceOf } from "./error.js";
import { logError } from "./log.js";
import { packPieces } from "./output.js";
import { encode } from "./serde.js";
import { wellFormed } from "./utf8.js";

/** A plugin; `plugin` makes it. */
export class Plugin {
    constructor({ processors = {}, predicates = {}, keySelectors = {} }) {
        this.processors = named("processor", processors);
        this.predicates = named("predicate", predicates);
        this.keySelectors = named("key selector", keySelectors);
        if (this.worlds.length === 0) {
            throw new TypeError("a plugin has a processor, a predicate or a key selector: name one");
        }
    }

    /** The worlds of `wit/world.wit` that it is of. */
    get worlds() {
        const worlds = [];
        if (this.processors.size > 0) worlds.push("plugin-processor");
        if (this.predicates.size > 0) worlds.push("plugin-predicate");
        if (this.keySelectors.size > 0) worlds.push("plugin-key-selector");
        return worlds;
    }

    /** The class of a processor. */
    processor(name) {
        return find("processor", name, this.processors);
    }

    /** Asks a predicate about each record: one byte a record. */
    test(name, columns) {
        const predicate = find("predicate", name, this.predicates);
        const batch = new Batch(columns);
        const answers = new Uint8Array(batch.length);
        for (let row = 0; row < answers.length; row++) {
            answers[row] = atOnce(predicate(batch.record(row)), "a predicate") ? 1 : 0;
        }
        return answers;
    }

    /** Chooses a key for each record; null and undefined are none. */
    selectKey(name, columns) {
        const selector = find("key selector", name, this.keySelectors);
        const batch = new Batch(columns);
        const pieces = new Array(batch.length);
        for (let row = 0; row < pieces.length; row++) {
            pieces[row] = encode(atOnce(selector(batch.record(row)), "a key selector") ?? null);
        }
        const { bytes, ends } = packPieces(pieces);
        const nulls = pieces.includes(null)
            ? Uint8Array.from(pieces, (piece) => (piece === null ? 1 : 0))
            : new Uint8Array();
        return { keys: bytes, keyEnds: ends, nulls };
    }
}

/**
 * A plugin, which the module exports as its default: `export default plugin({ processors: { shout: Shout } })`. A
 * predicate is a function of a record that says yes or no, a key selector one that gives a key (bytes, a string, null).
 */
export function plugin(contents) {
    return new Plugin(contents);
}

/** The text of an error for an answer of the host that is an error with a text. */
export function answerOf(thrown) {
    if (!(thrown instanceof ProcessorError)) {
        logError(traceOf(thrown));
    }
    return wellFormed(reasonOf(thrown));
}

function named(kind, contents) {
    const entries = Object.entries(contents);
    for (const [name, content] of entries) {
        if (typeof content !== "function") {
            throw new TypeError(`the ${kind} \`${name}\` is no ${kind === "processor" ? "class" : "function"}`);
        }
        if (
            kind === "processor" &&
            !["process", "processBatch"].some((method) => typeof content.prototype?.[method] === "function")
        ) {
            throw new TypeError(`the processor \`${name}\` has no method \`process\``);
        }
        if (kind !== "processor") {
            refuseLater(content, `the ${kind} \`${name}\``);
            continue;
        }
        for (const method of ["process", "processBatch", "punctuate", "close"]) {
            refuseLater(content.prototype[method], `\`${method}\` of the processor \`${name}\``);
        }
    }
    return new Map(entries);
}

function find(kind, name, contents) {
    const found = contents.get(name);
    if (found === undefined) {
        throw new Fatal(`there is no ${kind} \`${name}\` in this plugin, but ${JSON.stringify([...contents.keys()])}`);
    }
    return found;
}
