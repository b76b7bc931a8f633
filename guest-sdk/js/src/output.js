// What a call forwards, collected until it is handed to the host: then the columns are made, all records at once, and
// keys and values that have not changed are not copied: the host has them.

import { KEY_IS_NULL, KEY_IS_OF_ROW, VALUE_IS_NULL, VALUE_IS_OF_ROW } from "./batch.js";
import { bytesOfWords, packTimestamps } from "./column.js";
import { binaryOfBytes, binaryOfText, bytesOfBinary, isAscii } from "./utf8.js";

/** Past this many records, or bytes of new keys and values, what was forwarded is handed over between two records. */
const RECORDS_MAX = 8192;
const BYTES_MAX = 256 * 1024;

const NOTHING = new Uint8Array();

/** Records for one target, in the order they were forwarded. */
class Segment {
    constructor(child) {
        this.child = child;
        this.records = [];
        /** For each record the row it descends from. */
        this.rows = [];
    }
}

/** What a call has forwarded so far. */
export class Output {
    constructor(host) {
        this.host = host;
        this.segments = [];
        this.last = null;
        this.isSequenced = false;
        this.count = 0;
        this.bytes = 0;
        this.batch = null;
    }

    /**
     * Begins a call; `batch` is null in a punctuation. With many records nobody can see the order between children (see
     * `wit/context.wit`), so the records for each child are collected by themselves.
     */
    begin(batch) {
        this.batch = batch;
        this.isSequenced = batch === null || batch.length === 1;
    }

    /** Appends a record that descends from `row`. */
    push(child, record, row) {
        const segment = this.last !== null && this.last.child === child ? this.last : this.segment(child);
        segment.records.push(record);
        segment.rows.push(row);
        this.count++;
        if (record._value) this.bytes += record._value.length;
        if (record._key) this.bytes += record._key.length;
    }

    segment(child) {
        let found = this.isSequenced ? undefined : this.segments.find((segment) => segment.child === child);
        if (found === undefined) {
            // A child that gets some records by name and others with everybody must get them in their order.
            this.isSequenced ||= this.segments.some((segment) => (segment.child === null) !== (child === null));
            found = new Segment(child);
            this.segments.push(found);
        }
        this.last = found;
        return found;
    }

    /** Takes back the records that descend from `row`, the last one. */
    takeBack(row) {
        for (const { records, rows } of this.segments) {
            while (rows.length > 0 && rows[rows.length - 1] === row) {
                rows.pop();
                records.pop();
                this.count--;
            }
        }
    }

    /** Drops everything. */
    clear() {
        this.segments = [];
        this.last = null;
        this.count = 0;
        this.bytes = 0;
    }

    /** Hands everything to the host if it has become much. Called between two records. */
    handOverWhenLarge() {
        if (this.count > RECORDS_MAX || this.bytes > BYTES_MAX) {
            this.handOver();
        }
    }

    /** Hands everything to the host. */
    handOver() {
        for (const { child, records, rows } of this.segments) {
            if (records.length > 0) {
                const columns = packRecords(records, rows, this.batch);
                this.forward(child, columns, this.batch === null ? NOTHING : packRows(rows));
            }
        }
        this.clear();
    }

    /** Hands a whole batch to the host, after what was forwarded before; one record may still be taken back. */
    forwardBatch(child, batch) {
        if (this.batch.length === 1) {
            for (const record of batch) this.push(child, record, 0);
            return;
        }
        this.handOver();
        if (batch.length > 0) {
            this.forward(child, packBatch(batch), batch._rows === null ? NOTHING : packRows(batch._rows));
        }
    }

    forward(child, columns, rows) {
        if (child === null) {
            this.host.forward(columns, rows);
        } else {
            this.host.forwardTo(child, columns, rows);
        }
    }
}

/** Rows as the host takes them: nothing when record `i` descends from row `i`. */
function packRows(rows) {
    return areInOrder(rows) ? NOTHING : bytesOfWords(Uint32Array.from(rows));
}

function areInOrder(rows) {
    return rows.every((row, index) => row === index);
}

function packRecords(records, rows, batch) {
    const isOfRow = (record, index) => record._batch === batch && record._row === rows[index];
    const areOfRows = batch !== null && records.every(isOfRow);
    const pieces = (field, column) => {
        if (areOfRows && records.every((record) => record[field] === undefined)) {
            return null;
        }
        return records.map((record, index) => {
            const piece = record[field];
            return piece !== undefined || areOfRows || (batch !== null && isOfRow(record, index))
                ? piece
                : place(record._batch[column], record._row);
        });
    };
    const isWhole = areOfRows && records.length === batch._size && areInOrder(rows);
    const keepsTimes = isWhole && records.every((record) => record._timestamp === undefined);
    const keepsHeaders = isWhole && records.every((record) => record._headers === undefined);
    return columnsOf(records.length, pieces("_key", "_keys"), pieces("_value", "_values"), {
        timestamps: keepsTimes ? batch._columns.timestamps : packTimestamps(records.map((record) => record.timestamp)),
        headers: keepsHeaders ? batch._columns.headers : packHeaders(records),
    });
}

function packBatch(batch) {
    const { _columns: own, _rows: rows } = batch;
    const isWhole = rows === null;
    return columnsOf(batch.length, batch._keyPieces, batch._valuePieces, {
        timestamps: isWhole ? own.timestamps : packTimestamps(batch.timestamps),
        headers: isWhole || own.headers.length === 0 ? own.headers : packHeaders(Array.from(batch)),
    });
}

/** An entry of a column that is to be copied; null stays null. */
function place(column, row) {
    return column.isNull(row) ? null : { column, row };
}

/** The columns. A piece that is undefined is that of the row, and is not copied; null in place of pieces: all are. */
function columnsOf(length, keys, values, { timestamps, headers }) {
    const key = packPiecesOrNone(length, keys);
    const value = packPiecesOrNone(length, values);
    return {
        keys: key.bytes,
        keyEnds: key.ends,
        values: value.bytes,
        valueEnds: value.ends,
        timestamps,
        nulls: packNulls(length, keys, values),
        headers,
    };
}

function packPiecesOrNone(length, pieces) {
    return pieces === null ? { bytes: NOTHING, ends: new Uint8Array(length * 4) } : packPieces(pieces);
}

function packNulls(length, keys, values) {
    if (keys === null && values === null) {
        return new Uint8Array(length).fill(KEY_IS_OF_ROW | VALUE_IS_OF_ROW);
    }
    const needsBits = (pieces) => pieces === null || pieces.includes(null) || pieces.includes(undefined);
    if (!needsBits(keys) && !needsBits(values)) {
        return NOTHING;
    }
    const nulls = new Uint8Array(length);
    for (let index = 0; index < length; index++) {
        const key = keys === null ? undefined : keys[index];
        const value = values === null ? undefined : values[index];
        nulls[index] =
            (key === undefined ? KEY_IS_OF_ROW : key === null ? KEY_IS_NULL : 0) |
            (value === undefined ? VALUE_IS_OF_ROW : value === null ? VALUE_IS_NULL : 0);
    }
    return nulls;
}

/** Bytes, strings (UTF-8), places in columns, null and undefined, as one column. */
export function packPieces(pieces) {
    const length = pieces.length;
    const ends = new Uint32Array(length);
    if (pieces.every((piece) => piece == null || piece instanceof Uint8Array)) {
        return { bytes: joinBytes(pieces, ends), ends: bytesOfWords(ends) };
    }
    const parts = new Array(length);
    let hasText = false;
    for (let index = 0; index < length; index++) {
        const piece = pieces[index];
        if (typeof piece === "string") {
            hasText = true;
            parts[index] = piece;
        } else {
            parts[index] =
                piece == null
                    ? ""
                    : piece instanceof Uint8Array
                      ? binaryOfBytes(piece)
                      : piece.column.binaryAt(piece.row);
        }
    }
    let binary = parts.join("");
    if (hasText && !isAscii(binary)) {
        for (let index = 0; index < length; index++) {
            if (typeof pieces[index] === "string") parts[index] = binaryOfText(parts[index]);
        }
        binary = parts.join("");
    }
    let end = 0;
    for (let index = 0; index < length; index++) {
        end += parts[index].length;
        ends[index] = end;
    }
    return { bytes: bytesOfBinary(binary), ends: bytesOfWords(ends) };
}

function joinBytes(pieces, ends) {
    let end = 0;
    for (let index = 0; index < pieces.length; index++) {
        end += pieces[index] == null ? 0 : pieces[index].length;
        ends[index] = end;
    }
    const bytes = new Uint8Array(end);
    for (let index = 0, start = 0; index < pieces.length; start = ends[index++]) {
        if (pieces[index] != null) bytes.set(pieces[index], start);
    }
    return bytes;
}

function packHeaders(records) {
    const entries = records.map((record) => record.headers._bytes());
    const length = entries.reduce((sum, entry) => sum + (entry.length === 0 ? 0 : 8 + entry.length), 0);
    if (length === 0) {
        return NOTHING;
    }
    const column = new Uint8Array(length);
    const view = new DataView(column.buffer);
    let at = 0;
    entries.forEach((entry, index) => {
        if (entry.length > 0) {
            view.setUint32(at, index, true);
            view.setUint32(at + 4, entry.length, true);
            column.set(entry, at + 8);
            at += 8 + entry.length;
        }
    });
    return column;
}
