// One column of bytes with its ends, as it came from the host: keys or values of a batch, of a page, of what was read.

import { notUtf8, none, unreadable } from "./serde.js";
import { binaryOfBytes, isAscii, textOfBytes } from "./utf8.js";

/** Up to this many bytes a column is read as text at once, which is much cheaper than entry by entry. */
const TEXT_BYTES_MAX = 1 << 20;

/** Entries of bytes, one after the other. */
export class Column {
    /**
     * @param {Uint8Array} bytes of all entries
     * @param {Uint8Array} ends u32 each, little-endian
     * @param {Uint8Array} nulls a byte an entry, or empty
     * @param {number} nullBit the bit of it that says that there is nothing
     */
    constructor(bytes, ends, nulls, nullBit) {
        this.bytes = bytes;
        this.packedEnds = ends;
        this.length = ends.length >> 2;
        // One entry ends where the bytes end.
        this.ends = this.length === 1 ? null : wordsOf(ends);
        this.nulls = nulls.length === 0 ? null : nulls;
        this.nullBit = nullBit;
        this.binary = undefined;
        this.isText = undefined;
        this.dataView = undefined;
    }

    start(row) {
        return row === 0 ? 0 : this.ends[row - 1];
    }

    end(row) {
        return this.ends === null ? this.bytes.length : this.ends[row];
    }

    isNull(row) {
        return this.nulls !== null && (this.nulls[row] & this.nullBit) !== 0;
    }

    /** The bytes of an entry, or null; not a copy. */
    bytesAt(row) {
        return this.isNull(row) ? null : this.bytes.subarray(this.start(row), this.end(row));
    }

    /** The bytes of an entry that is not null, as a binary string. */
    binaryAt(row) {
        if (this.binary === undefined) {
            this.binary = this.bytes.length <= TEXT_BYTES_MAX ? binaryOfBytes(this.bytes) : null;
        }
        if (this.binary === null) {
            return binaryOfBytes(this.bytes.subarray(this.start(row), this.end(row)));
        }
        return this.ends === null ? this.binary : this.binary.substring(this.start(row), this.end(row));
    }

    /** The text of an entry that is not null; throws a Problem when it is not UTF-8. */
    textAt(row) {
        if (this.isText === undefined) {
            const binary = this.binaryAt(0);
            this.isText = this.binary !== null && isAscii(this.ends === null ? binary : this.binary);
        }
        if (this.isText) {
            return this.binaryAt(row);
        }
        try {
            return textOfBytes(this.bytes.subarray(this.start(row), this.end(row)));
        } catch {
            throw notUtf8();
        }
    }

    /** An entry, read by a serde. `what` is "the key" or the like. */
    as(row, serde, what) {
        if (this.isNull(row)) {
            return none(serde, what);
        }
        try {
            if (serde.at) {
                this.dataView ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
                return serde.at(this.dataView, this.start(row), this.end(row));
            }
            return serde.fromText ? serde.fromText(this.textAt(row)) : serde.decode(this.bytesAt(row));
        } catch (error) {
            throw unreadable(error, what);
        }
    }
}

/** Packed u32 as numbers. */
export function wordsOf(packed) {
    const aligned = packed.byteOffset % 4 === 0 ? packed : packed.slice();
    return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
}

/** Packed numbers as bytes. */
export function bytesOfWords(words) {
    return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** The s64 at `index` of words: a number, or a bigint where no number is exact. */
export function timestampAt(words, index) {
    const low = words[index * 2];
    const high = words[index * 2 + 1] | 0;
    const number = high * 4294967296 + low;
    return Number.isSafeInteger(number) ? number : (BigInt(high) << 32n) | BigInt(low);
}

/** Timestamps, packed. */
export function packTimestamps(timestamps) {
    const words = new Uint32Array(timestamps.length * 2);
    for (let index = 0; index < timestamps.length; index++) {
        const timestamp = timestamps[index];
        if (typeof timestamp === "number") {
            words[index * 2] = timestamp >>> 0;
            words[index * 2 + 1] = Math.floor(timestamp / 4294967296);
        } else {
            words[index * 2] = Number(timestamp & 0xffffffffn);
            words[index * 2 + 1] = Number(timestamp >> 32n);
        }
    }
    return bytesOfWords(words);
}
