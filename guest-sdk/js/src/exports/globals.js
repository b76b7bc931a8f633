// What QuickJS lacks and libraries expect: TextEncoder, TextDecoder, console. `millstream build` imports this first.

import { log as write } from "millstream:processor/log@0.1.0";
import { logTo } from "../log.js";
import { bytesOfText, lossyTextOfBytes, textOfBytes } from "../utf8.js";

logTo((level, message) => write(level, message));

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
    trace: (...values) => write("trace", format(values)),
    debug: (...values) => write("debug", format(values)),
    log: (...values) => write("info", format(values)),
    info: (...values) => write("info", format(values)),
    warn: (...values) => write("warn", format(values)),
    error: (...values) => write("error", format(values)),
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
