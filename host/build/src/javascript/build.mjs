// Makes a component of a JavaScript or TypeScript plugin: `node build.mjs REQUEST`, where REQUEST is JSON (see
// `javascript.rs`). It lies beside the `node_modules` that holds its tools. What went wrong goes to standard error, in the
// tools' own words; what was read goes to standard output, as JSON.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
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

/** One file of the plugin and all that it imports; errors are printed with file, line and the line itself. */
async function bundle(contents, outfile) {
  const result = await esbuild.build({
    stdin: { contents, resolveDir: directory, sourcefile: "plugin" },
    absWorkingDir: directory,
    bundle: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["millstream"],
    target: "es2023",
    external: ["millstream:*"],
    // Names and lines of the sources are what a stack in the log is read by.
    keepNames: false,
    charset: "utf8",
    sourcemap: "inline",
    metafile: true,
    outfile,
    logLevel: "warning",
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
    lines.push(`import { ${make} } from "@millstream/sdk/exports/${module}";`, `export const ${name} = ${make}(plugin);`);
  }
  return lines.join("\n");
}

async function main() {
  const probe = `${work}/probe.mjs`;
  await bundle(`export { default } from ${JSON.stringify("./" + entry)};`, probe);
  const worlds = await worldsOf(probe);
  const includes = worlds.map((world) => `include ${world};`).join(" ");
  writeFileSync(`${wit}/plugin.wit`, `package millstream:processor@0.1.0;\nworld plugin { ${includes} }\n`);
  const outfile = `${work}/plugin.mjs`;
  const inputs = await bundle(exportsOf(worlds), outfile);
  const { readFileSync } = await import("node:fs");
  const jsSource = readFileSync(outfile, "utf8");
  const made = await componentize({ witPath: wit, world: "plugin", jsSource, sync: true });
  writeFileSync(component, made.component);
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
