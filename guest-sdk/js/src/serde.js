// How values become bytes and back: what Kafka's serializers of the same names write.
//
// `decode` sees bytes, `encode` gives bytes, or a string that is written as UTF-8. The SDK's own serdes have a quicker
// way in: `fromText` is given the UTF-8 as a string, `at` a view of a whole column and where the bytes are in it.
// A reading that fails throws a `Problem`, whose text reads after "the key" or "the value".

import { ProcessorError, Fatal, reasonOf } from "./error.js";
import { bytesOfText, textOfBytes } from "./utf8.js";

/** Why bytes can't be read. */
export class Problem extends Error {}

/** The bytes themselves. */
export const bytes = {
    decode: (data) => data,
    encode: (value) => value,
};

/** UTF-8, as Kafka's StringSerializer writes it. */
export const text = {
    decode: (data) => utf8(data),
    encode: (value) => value,
    fromText: (value) => value,
};

/** JSON. */
export const json = {
    decode: (data) => json.fromText(utf8(data)),
    encode(value) {
        const written = JSON.stringify(value);
        if (written === undefined) {
            throw new TypeError(`${typeof value} can't be written as JSON`);
        }
        return written;
    },
    fromText(value) {
        try {
            return JSON.parse(value);
        } catch (error) {
            throw new Problem(`is not the JSON that is expected: ${error.message}`);
        }
    },
};

/** As Kafka's LongSerializer writes it: 8 bytes, big-endian; a bigint here. */
export const long = number(
    8,
    (view, at) => view.getBigInt64(at),
    (view, value) => view.setBigInt64(0, inRange(BigInt(value), -(2n ** 63n), 2n ** 63n - 1n)),
);

/** As `long`, but a number here, which is quicker: beyond 2^53 it throws. */
export const safeLong = number(
    8,
    (view, at) => {
        const value = view.getInt32(at) * 4294967296 + view.getUint32(at + 4);
        if (!Number.isSafeInteger(value)) {
            throw new Problem("is past the safe integers of JavaScript: read it as `long`");
        }
        return value;
    },
    (view, value) => {
        if (!Number.isSafeInteger(value)) {
            throw new RangeError(`${value} is no safe integer: write it as \`long\``);
        }
        view.setInt32(0, Math.floor(value / 4294967296));
        view.setUint32(4, value >>> 0);
    },
);

/** As Kafka's IntegerSerializer writes it: 4 bytes, big-endian. */
export const integer = number(
    4,
    (view, at) => view.getInt32(at),
    (view, value) => view.setInt32(0, inRange(whole(value), -(2 ** 31), 2 ** 31 - 1)),
);

/** As Kafka's ShortSerializer writes it: 2 bytes, big-endian. */
export const short = number(
    2,
    (view, at) => view.getInt16(at),
    (view, value) => view.setInt16(0, inRange(whole(value), -(2 ** 15), 2 ** 15 - 1)),
);

/** As Kafka's DoubleSerializer writes it: 8 bytes, big-endian. */
export const double = number(
    8,
    (view, at) => view.getFloat64(at),
    (view, value) => view.setFloat64(0, value),
);

/** As Kafka's FloatSerializer writes it: 4 bytes, big-endian. */
export const float = number(
    4,
    (view, at) => view.getFloat32(at),
    (view, value) => view.setFloat32(0, value),
);

/** As `serde`, and null where there is nothing. */
export function optional(serde) {
    return { ...serde, isOptional: true };
}

function number(length, get, set) {
    const scratch = new DataView(new ArrayBuffer(length));
    const scratchBytes = new Uint8Array(scratch.buffer);
    return {
        decode: (data) => checked(new DataView(data.buffer, data.byteOffset, data.length), 0, data.length),
        encode(value) {
            set(scratch, value);
            return scratchBytes.slice();
        },
        at: checked,
    };
    function checked(view, start, end) {
        if (end - start !== length) {
            throw new Problem(`has ${end - start} bytes where ${length} are expected`);
        }
        return get(view, start);
    }
}

function whole(value) {
    if (!Number.isInteger(value)) {
        throw new RangeError(`${value} is no whole number`);
    }
    return value;
}

function inRange(value, lowest, highest) {
    if (value < lowest || value > highest) {
        throw new RangeError(`${value} doesn't fit: it must be from ${lowest} to ${highest}`);
    }
    return value;
}

function utf8(data) {
    try {
        return textOfBytes(data);
    } catch {
        throw notUtf8();
    }
}

/** The problem of bytes that were to be text. */
export function notUtf8() {
    return new Problem("is not UTF-8");
}

/** Encodes with `serde`; without one, a string or bytes are taken as they are. */
export function encode(value, serde) {
    if (serde !== undefined && !(value === null && serde.isOptional)) {
        return encoded(serde.encode(value));
    }
    return value === null ? null : encoded(value);
}

function encoded(value) {
    if (typeof value === "string" || value instanceof Uint8Array) {
        return value;
    }
    throw new TypeError(
        `bytes or a string are expected, not ${value === null ? "null" : typeof value}: name a serde, such as \`json\``,
    );
}

/** Decodes what `encode` gave, or bytes. `what` is "the key", "the value" or the like. */
export function decode(piece, serde, what) {
    if (piece === null) {
        return none(serde, what);
    }
    try {
        if (typeof piece !== "string") {
            return serde.decode(piece);
        }
        return serde.fromText ? serde.fromText(piece) : serde.decode(bytesOfText(piece));
    } catch (error) {
        throw unreadable(error, what);
    }
}

/** What stands for nothing. */
export function none(serde, what) {
    if (serde.isOptional) {
        return null;
    }
    throw new Fatal(`${what} is null`);
}

/** The error of a reading that failed. */
export function unreadable(error, what) {
    if (error instanceof ProcessorError) {
        return error;
    }
    return new Fatal(
        error instanceof Problem ? `${what} ${error.message}` : `${what} can't be read: ${reasonOf(error)}`,
    );
}
