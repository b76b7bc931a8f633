// Unit tests, without Wasm: `npm test`.

import assert from "node:assert/strict";
import { test } from "node:test";

import { text } from "@millstream/sdk";
import { TestProcessor, record } from "@millstream/sdk/testing";

import { {{pascal}} } from "../src/index.ts";

test("each key is counted by itself", () => {
  const processor = new TestProcessor({{pascal}}, { stores: ["seen"] });
  for (const key of ["ann", "bob", "ann"]) {
    processor.process(record({ key }));
  }
  const texts = processor.takeForwarded().map((forwarded) => forwarded.valueAs(text));
  assert.deepEqual(texts, ["ann has come 1 times", "bob has come 1 times", "ann has come 2 times"]);
});
