// Makes a component of a JavaScript or TypeScript plugin: `node build.mjs REQUEST`, where REQUEST is JSON (see
// `javascript.rs`). It lies beside the `node_modules` that holds its tools. What went wrong goes to standard error, in
// the tools' own words; what was read goes to standard output, as JSON.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const esbuild = require("esbuild");
const { componentize } = require("componentize-qjs");

const { directory, entry, wit, work, component } = JSON.parse(process.argv[2]);

const WORLDS = {
    "plugin-processor": ["processor", "exportProcessors", "processor"],
    "plugin-predicate": ["predicate", "exportPredicates", "predicate"],
    "plugin-key-selector": ["keySelector", "exportKeySelectors", "key-selector"],
};

/** What of WASI the SDK asks for besides what QuickJS does: random bytes, for `Math.random` and `crypto`. */
const RANDOM = `package wasi:random@0.2.0;

interface random {
    get-random-bytes: func(len: u64) -> list<u8>;
}
`;

/** One file of the plugin and all that it imports; errors are printed with file, line and the line itself. */
async function bundle(contents, outfile, sourcemap, logLevel) {
    const result = await esbuild.build({
        stdin: { contents, resolveDir: directory, sourcefile: "plugin" },
        absWorkingDir: directory,
        bundle: true,
        format: "esm",
        platform: "neutral",
        mainFields: ["module", "main"],
        conditions: ["millstream"],
        target: "es2023",
        external: ["millstream:*", "wasi:*"],
        charset: "utf8",
        sourcemap,
        metafile: true,
        outfile,
        logLevel,
        color: process.stderr.isTTY === true,
    });
    return Object.keys(result.metafile.inputs).filter((input) => input !== "plugin");
}

/** The worlds that the plugin is of; asked by running its top level here, as it is run once more in the component. */
async function worldsOf(outfile) {
    process.setSourceMapsEnabled(true);
    const { default: plugin } = await import(pathToFileURL(outfile).href);
    if (!Array.isArray(plugin?.worlds)) {
        throw new Error(`${entry} exports no plugin: end it with \`export default plugin({ processors: { .. } })\``);
    }
    return plugin.worlds;
}

function exportsOf(worlds) {
    const lines = ['import "@millstream/sdk/exports/globals";', `import plugin from ${JSON.stringify("./" + entry)};`];
    for (const world of worlds) {
        const [name, make, module] = WORLDS[world];
        lines.push(
            `import { ${make} } from "@millstream/sdk/exports/${module}";`,
            `export const ${name} = ${make}(plugin);`,
        );
    }
    return lines.join("\n");
}

/**
 * A line of the program that says where each line of it comes from, so that stacks in the log name the plugin's files:
 * for each line the number of a file and a line in it, or -1.
 */
function placesOf(map) {
    const { sources, mappings } = JSON.parse(readFileSync(map, "utf8"));
    const files = sources.map((source) => relative(directory, resolve(work, source)));
    let [file, line] = [0, 0];
    const places = mappings.split(";").flatMap((segments) => {
        let first = null;
        for (const segment of segments.split(",")) {
            const [, fileStep = 0, lineStep = 0] = decodeNumbers(segment);
            file += fileStep;
            line += lineStep;
            if (segment !== "") first ??= [file, line + 1];
        }
        return first ?? [-1, 0];
    });
    return `globalThis.millstreamPlaces = ${JSON.stringify({ files, places })};\n`;
}

/** The numbers of a segment of a source map: base 64, five bits a digit, the lowest first, the sign last. */
function decodeNumbers(segment) {
    const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const numbers = [];
    let [value, shift] = [0, 0];
    for (const digit of segment) {
        const bits = digits.indexOf(digit);
        value |= (bits & 31) << shift;
        shift += 5;
        if ((bits & 32) === 0) {
            numbers.push(value & 1 ? -(value >> 1) : value >> 1);
            [value, shift] = [0, 0];
        }
    }
    return numbers;
}

async function main() {
    const probe = `${work}/probe.mjs`;
    await bundle(
        `import * as all from ${JSON.stringify("./" + entry)};\nexport default all["default"];`,
        probe,
        "inline",
        "error",
    );
    const worlds = await worldsOf(probe);
    const includes = worlds.map((world) => `include ${world};`).join(" ");
    mkdirSync(`${wit}/deps/random`, { recursive: true });
    writeFileSync(`${wit}/deps/random/random.wit`, RANDOM);
    const world = `world plugin { ${includes} import wasi:random/random@0.2.0; }`;
    writeFileSync(`${wit}/plugin.wit`, `package millstream:processor@0.1.0;\n${world}\n`);
    const outfile = `${work}/plugin.mjs`;
    const inputs = await bundle(exportsOf(worlds), outfile, "external", "warning");
    const jsSource = readFileSync(outfile, "utf8") + placesOf(`${outfile}.map`);
    // Two components of the same source differ, because QuickJS seeds what it hashes with: keep the one that is there.
    const made = `${work}/made.mjs`;
    if (!existsSync(component) || !existsSync(made) || readFileSync(made, "utf8") !== jsSource) {
        const result = await componentize({ witPath: wit, world: "plugin", jsSource, sync: true });
        writeFileSync(component, result.component);
        writeFileSync(made, jsSource);
    }
    process.stdout.write(JSON.stringify({ worlds, inputs }));
}

try {
    await main();
} catch (error) {
    // esbuild has printed its own.
    if (error?.errors === undefined) {
        console.error(error instanceof Error ? error.stack : error);
    }
    process.exitCode = 1;
}
