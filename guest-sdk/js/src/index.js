// Write Millstream processors in JavaScript and TypeScript: see README.md, and index.d.ts for every word of it.

export { Batch } from "./batch.js";
export { Child, Context, Punctuation } from "./context.js";
export { DeadLetter, Fatal, ProcessorError, Retry, Skip } from "./error.js";
export { Headers } from "./headers.js";
export { log } from "./log.js";
export { Plugin, plugin } from "./plugin.js";
export { Record } from "./record.js";
export { bytes, double, float, integer, json, long, optional, safeLong, short, text } from "./serde.js";
export { Setup } from "./setup.js";
export { Entry, KeyValueStore } from "./store.js";
