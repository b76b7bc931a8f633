// The headers of a record, packed as in `wit/types.wit`.

import { bytesOfText, lossyTextOfBytes } from "./utf8.js";

/** The length that stands for a null value. */
const NULL_LENGTH = 0xffffffff;

/** Headers: keys and values in their order; a key may occur again, a value may be null. They never change. */
export class Headers {
    /** Headers of `[key, value]` pairs; a value is bytes, a string (UTF-8) or null. */
    constructor(pairs = []) {
        this._pairs = Array.from(pairs, ([key, value]) => [
            String(key),
            typeof value === "string" ? bytesOfText(value) : value,
        ]);
        this._packed = null;
    }

    static _fromPacked(packed) {
        const headers = Object.create(Headers.prototype);
        headers._pairs = null;
        headers._packed = packed;
        return headers;
    }

    /** How many there are. */
    get length() {
        return this._list().length;
    }

    [Symbol.iterator]() {
        return this._list()[Symbol.iterator]();
    }

    /** The value of the last header with this key; undefined when there is none. */
    last(key) {
        return this._list().findLast(([name]) => name === key)?.[1];
    }

    /** With one more header; others with the same key stay. */
    with(key, value) {
        return new Headers([...this._list(), [key, value]]);
    }

    /** Without all headers of this key. */
    without(key) {
        return new Headers(this._list().filter(([name]) => name !== key));
    }

    _list() {
        this._pairs ??= unpack(this._packed);
        return this._pairs;
    }

    _bytes() {
        this._packed ??= pack(this._pairs);
        return this._packed;
    }
}

/** No headers. */
export const NO_HEADERS = new Headers();

function unpack(packed) {
    const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
    const pairs = [];
    let at = 0;
    const field = () => {
        const length = view.getUint32(at, true);
        const start = at + 4;
        at = start + (length === NULL_LENGTH ? 0 : length);
        return length === NULL_LENGTH ? null : packed.subarray(start, at);
    };
    while (at < packed.length) {
        const key = field() ?? new Uint8Array();
        pairs.push([lossyTextOfBytes(key), field()]);
    }
    return pairs;
}

function pack(pairs) {
    const keys = pairs.map(([key]) => bytesOfText(key));
    const length = pairs.reduce((sum, [, value], index) => sum + 8 + keys[index].length + (value?.length ?? 0), 0);
    const packed = new Uint8Array(length);
    const view = new DataView(packed.buffer);
    let at = 0;
    const field = (bytes) => {
        view.setUint32(at, bytes === null ? NULL_LENGTH : bytes.length, true);
        packed.set(bytes ?? [], at + 4);
        at += 4 + (bytes?.length ?? 0);
    };
    pairs.forEach(([, value], index) => {
        field(keys[index]);
        field(value);
    });
    return packed;
}
