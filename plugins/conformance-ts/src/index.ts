// The conformance plugin in TypeScript; tests/tests/conformance/README.md says what each processor and command does.

import { type Batch, type Context, type KeyValueStore, type Processor, type Record, type Setup } from "@millstream/sdk";
import { long, optional, plugin, safeLong } from "@millstream/sdk";

import { Commands } from "./commands.ts";

class Echo implements Processor {
    process(record: Record, context: Context): void {
        context.forward(record);
    }
}

class InBatches implements Processor {
    processBatch(batch: Batch, context: Context): void {
        context.forwardBatch(batch.withValues(Array<string>(batch.length).fill(String(batch.length))));
    }
}

class Count implements Processor {
    private readonly counts: KeyValueStore<Uint8Array, number>;

    constructor(setup: Setup) {
        this.counts = setup.store(setup.config("store") ?? "plain", { values: safeLong }).readAhead();
    }

    process(record: Record, context: Context): void {
        const { key } = record;
        if (key === null) return;
        const count = (this.counts.get(key) ?? 0) + 1;
        this.counts.put(key, count);
        context.forward(record.withValue(count, safeLong));
    }
}

function isEven(record: Record): boolean {
    const number = record.valueAs(optional(long));
    return number !== null && number % 2n === 0n;
}

export default plugin({
    processors: { echo: Echo, batch: InBatches, count: Count, do: Commands },
    predicates: { "is-even": isEven },
    keySelectors: { "by-value": (record) => record.value },
});
