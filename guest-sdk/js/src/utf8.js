// Text to bytes and back. QuickJS has neither TextEncoder nor TextDecoder, and a loop over characters costs 250 ns
// each; its base64 functions are native, and cost 15 ns a byte there and back.
//
// A *binary string* has one character for each byte, with the byte's number. Keys of maps are binary strings, because
// bytes can't be keys.

const NON_ASCII = /[^\x00-\x7f]/;
// With the flag `u` a pair is one character.
const LONE_SURROGATE = /\p{Surrogate}/gu;

// Asked once, before the SDK itself may define them.
const encoder = typeof TextEncoder === "function" ? new TextEncoder() : null;
const decoder = encoder && new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const hasBase64 = typeof Uint8Array.fromBase64 === "function";

/** Whether every character is one byte in UTF-8. */
export function isAscii(text) {
    return !NON_ASCII.test(text);
}

/** Bytes as a binary string. */
export function binaryOfBytes(bytes) {
    if (bytes.length === 0) {
        return "";
    }
    if (hasBase64) {
        return atob(bytes.toBase64());
    }
    let binary = "";
    for (let at = 0; at < bytes.length; at += 8192) {
        binary += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
    }
    return binary;
}

/** The bytes of a binary string. */
export function bytesOfBinary(binary) {
    if (hasBase64) {
        return Uint8Array.fromBase64(btoa(binary));
    }
    const bytes = new Uint8Array(binary.length);
    for (let at = 0; at < binary.length; at++) {
        bytes[at] = binary.charCodeAt(at);
    }
    return bytes;
}

/** A text with U+FFFD in place of each surrogate that is alone: those are no Unicode, and have no UTF-8. */
export function wellFormed(text) {
    const whole = String(text);
    return typeof whole.toWellFormed === "function" ? whole.toWellFormed() : whole.replace(LONE_SURROGATE, "\ufffd");
}

/** The UTF-8 of a text, as a binary string. Surrogates that are alone become U+FFFD. */
export function binaryOfText(text) {
    return isAscii(text) ? text : unescape(encodeURIComponent(wellFormed(text)));
}

/** The UTF-8 of a text. Surrogates that are alone become U+FFFD. */
export function bytesOfText(text) {
    return encoder ? encoder.encode(text) : bytesOfBinary(binaryOfText(text));
}

/** The text of a binary string; throws a URIError or TypeError when it is not UTF-8. */
export function textOfBinary(binary) {
    return isAscii(binary) ? binary : decodeURIComponent(escape(binary));
}

/** The text of bytes; throws a URIError or TypeError when they are not UTF-8. */
export function textOfBytes(bytes) {
    return decoder ? decoder.decode(bytes) : textOfBinary(binaryOfBytes(bytes));
}

/** The text of bytes, with U+FFFD for each sequence that is not UTF-8, as the Encoding Standard counts them. */
export function lossyTextOfBytes(bytes) {
    try {
        return textOfBytes(bytes);
    } catch {
        let text = "";
        for (let at = 0; at < bytes.length;) {
            const [point, length] = decodePoint(bytes, at);
            text += String.fromCodePoint(point);
            at += length;
        }
        return text;
    }
}

/** The code point at `at` and its length; U+FFFD and the length of the longest good beginning when there is none. */
function decodePoint(bytes, at) {
    const first = bytes[at];
    if (first < 0x80) {
        return [first, 1];
    }
    const more =
        first >= 0xc2 && first <= 0xdf
            ? 1
            : first >= 0xe0 && first <= 0xef
              ? 2
              : first >= 0xf0 && first <= 0xf4
                ? 3
                : 0;
    let point = first & (0x3f >> more);
    for (let index = 1; index <= more; index++) {
        const next = bytes[at + index];
        // Overlong forms, surrogates and what is past U+10FFFF show in the second byte.
        const lowest = index === 1 && first === 0xe0 ? 0xa0 : index === 1 && first === 0xf0 ? 0x90 : 0x80;
        const highest = index === 1 && first === 0xed ? 0x9f : index === 1 && first === 0xf4 ? 0x8f : 0xbf;
        if (next === undefined || next < lowest || next > highest) {
            return [0xfffd, index];
        }
        point = (point << 6) | (next & 0x3f);
    }
    return more === 0 ? [0xfffd, 1] : [point, more + 1];
}
