// `Math.random` and `crypto`. QuickJS seeds its generator when the component is built, so that all instances would give
// the same numbers; here they come from the host, which has other bytes for each task and record, and the same again
// for a record that is processed again.

const native = Math.random;

/** Where the host's bytes come from; null until the component runs, because there is no host while it is built. */
let source = null;
let bytesOfHost = null;
/** The generator of this call; null until it is asked. */
let generator = null;

/** Names the host's function for random bytes; it is not called before a call begins. */
export function randomBytesFrom(getRandomBytes) {
    bytesOfHost = getRandomBytes;
}

/** A call of the host begins: what is random in it is seeded anew. */
export function beginCall() {
    source = bytesOfHost;
    generator = null;
}

/** A number from 0 to 1, 1 excluded. At the top of a module, which runs when the component is built, always the same. */
export function random() {
    if (source === null) {
        return native();
    }
    generator ??= smallFastCounting(source(16));
    return ((generator() >>> 5) * 67108864 + (generator() >>> 6)) / 9007199254740992;
}

/** What of the Web's `crypto` makes ids. */
export const crypto = {
    getRandomValues(array) {
        if (!ArrayBuffer.isView(array)) {
            throw new TypeError("getRandomValues fills a typed array: give it one");
        }
        if (array.byteLength > 65536) {
            throw new RangeError(`getRandomValues fills up to 65536 bytes, not ${array.byteLength}`);
        }
        new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(randomBytes(array.byteLength));
        return array;
    },

    randomUUID() {
        const bytes = randomBytes(16);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
        return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    },
};

function randomBytes(length) {
    if (source === null) {
        throw new Error("there are no random bytes at the top of a module, which runs when the plugin is built");
    }
    return source(length);
}

/** The generator sfc32: 32 bits a call, quick and well tested. */
function smallFastCounting(seed) {
    const view = new DataView(seed.buffer, seed.byteOffset, 16);
    let [a, b, c, counter] = [0, 4, 8, 12].map((at) => view.getInt32(at));
    return () => {
        const next = (a + b + counter) | 0;
        counter = (counter + 1) | 0;
        a = b ^ (b >>> 9);
        b = (c + (c << 3)) | 0;
        c = (((c << 21) | (c >>> 11)) + next) | 0;
        return next;
    };
}
