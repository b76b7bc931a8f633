// The processors that bench/ measures, in TypeScript.

import { type Context, type KeyValueStore, type Processor, type Record, type Setup } from "@millstream/sdk";
import { Skip, plugin, safeLong } from "@millstream/sdk";

class Identity implements Processor {
    process(record: Record, context: Context): void {
        context.forward(record);
    }
}

class Count implements Processor {
    private readonly counts: KeyValueStore<Uint8Array, number>;

    constructor(setup: Setup) {
        this.counts = setup.store("counts", { values: safeLong }).readAhead();
    }

    process(record: Record, context: Context): void {
        const { key } = record;
        if (key === null) throw new Skip("the record has no key");
        const count = (this.counts.get(key) ?? 0) + 1;
        this.counts.put(key, count);
        context.forward(record.withValue(count, safeLong));
    }
}

export default plugin({ processors: { identity: Identity, count: Count } });
