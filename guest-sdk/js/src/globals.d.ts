// What a plugin finds besides JavaScript itself: name `"types": ["@millstream/sdk/globals"]` in tsconfig.json. (A
// project that has Node's or the browser's types has these already.)

/** Lines for the log of the host. */
declare var console: {
    trace(...values: unknown[]): void;
    debug(...values: unknown[]): void;
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
};

/** Text to UTF-8. */
declare class TextEncoder {
    readonly encoding: "utf-8";
    encode(text?: string): Uint8Array;
}

/** UTF-8 to text; there is no other encoding. */
declare class TextDecoder {
    constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
    readonly encoding: "utf-8";
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    decode(data?: ArrayBuffer | ArrayBufferView): string;
}

/** Random bytes from the host, which has others for each task and record; not at the top of a module. No keys. */
declare var crypto: {
    /** Fills the array, up to 65536 bytes, and returns it. */
    getRandomValues<T extends ArrayBufferView>(array: T): T;
    /** A random UUID (version 4). */
    randomUUID(): string;
};

declare function atob(base64: string): string;
declare function btoa(binary: string): string;
