// What QuickJS lacks and libraries expect: TextEncoder, TextDecoder, console, crypto; and a `Math.random` with a seed of
// its own for each instance. `millstream build` imports this first.

import { log as write } from "millstream:processor/log@0.1.0";
import { getRandomBytes } from "wasi:random/random@0.2.0";
import { logTo } from "../log.js";
import { crypto, random, randomBytesFrom } from "../random.js";
import { bytesOfText, lossyTextOfBytes, textOfBytes, wellFormed } from "../utf8.js";

const tell = (level, message) => write(level, wellFormed(message));
logTo(tell);

randomBytesFrom(getRandomBytes);
Math.random = random;
globalThis.crypto ??= crypto;

globalThis.TextEncoder ??= class TextEncoder {
    encoding = "utf-8";

    encode(text = "") {
        return bytesOfText(String(text));
    }
};

globalThis.TextDecoder ??= class TextDecoder {
    encoding = "utf-8";

    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
        if (!["utf-8", "utf8", "unicode-1-1-utf-8"].includes(String(label).trim().toLowerCase())) {
            throw new RangeError(`there is no decoder for ${label}, only for utf-8`);
        }
        this.fatal = fatal;
        this.ignoreBOM = ignoreBOM;
    }

    decode(data = new Uint8Array()) {
        const bytes = ArrayBuffer.isView(data)
            ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
            : new Uint8Array(data);
        let text;
        try {
            text = this.fatal ? textOfBytes(bytes) : lossyTextOfBytes(bytes);
        } catch {
            throw new TypeError("the bytes are not UTF-8");
        }
        return !this.ignoreBOM && text.startsWith("\ufeff") ? text.slice(1) : text;
    }
};

globalThis.console ??= {
    trace: (...values) => tell("trace", format(values)),
    debug: (...values) => tell("debug", format(values)),
    log: (...values) => tell("info", format(values)),
    info: (...values) => tell("info", format(values)),
    warn: (...values) => tell("warn", format(values)),
    error: (...values) => tell("error", format(values)),
};

function format(values) {
    return values.map(show).join(" ");
}

function show(value) {
    if (typeof value === "string") {
        return value;
    }
    if (value instanceof Error) {
        return `${value.name}: ${value.message}\n${value.stack ?? ""}`.trimEnd();
    }
    try {
        return (typeof value === "object" && value !== null ? JSON.stringify(value) : undefined) ?? String(value);
    } catch {
        return String(value);
    }
}
