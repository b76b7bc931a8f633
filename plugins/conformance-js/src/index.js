// The conformance plugin in JavaScript; tests/tests/conformance/README.md says what each processor and command does.

import { long, optional, plugin, safeLong } from "@millstream/sdk";

import { Commands } from "./commands.js";

class Echo {
    process(record, context) {
        context.forward(record);
    }
}

class InBatches {
    processBatch(batch, context) {
        context.forwardBatch(batch.withValues(Array(batch.length).fill(String(batch.length))));
    }
}

class Count {
    constructor(setup) {
        this.counts = setup.store(setup.config("store") ?? "plain", { values: safeLong }).readAhead();
    }

    process(record, context) {
        const { key } = record;
        if (key === null) return;
        const count = (this.counts.get(key) ?? 0) + 1;
        this.counts.put(key, count);
        context.forward(record.withValue(count, safeLong));
    }
}

function isEven(record) {
    const number = record.valueAs(optional(long));
    return number !== null && number % 2n === 0n;
}

export default plugin({
    processors: { echo: Echo, batch: InBatches, count: Count, do: Commands },
    predicates: { "is-even": isEven },
    keySelectors: { "by-value": (record) => record.value },
});
