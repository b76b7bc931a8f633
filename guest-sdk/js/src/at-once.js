// What the host calls ends with the call: nobody waits for promises, and nobody runs generators to their end.

import { Fatal } from "./error.js";

const WHY = "a record's work ends with the call, and what is to come later is never done";

/** Refuses an async function or a generator, as far as it can be seen before it is called. */
export function refuseLater(work, what) {
    const kind = work?.[Symbol.toStringTag];
    if (kind === "AsyncFunction" || kind === "AsyncGeneratorFunction") {
        throw new Fatal(`${what} must not be async: ${WHY}`);
    }
    if (kind === "GeneratorFunction") {
        throw new Fatal(`${what} must not be a generator: ${WHY}`);
    }
}

/** What a function has returned, unless that is a promise, or a generator that nobody would run. */
export function atOnce(returned, what) {
    if (typeof returned !== "object" || returned === null) {
        return returned;
    }
    if (typeof returned.then === "function") {
        // In a test, under Node.js, it goes on; that it fails there is no news any more.
        returned.then(undefined, () => {});
        throw new Fatal(`${what} must not be async or return a promise: ${WHY}`);
    }
    if (["Generator", "AsyncGenerator"].includes(returned[Symbol.toStringTag])) {
        throw new Fatal(`${what} must not be a generator: ${WHY}`);
    }
    return returned;
}
