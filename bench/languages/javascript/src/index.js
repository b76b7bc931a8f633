// The processors that bench/ measures, in JavaScript.

import { Skip, plugin, safeLong } from "@millstream/sdk";

class Identity {
    process(record, context) {
        context.forward(record);
    }
}

class Count {
    constructor(setup) {
        this.counts = setup.store("counts", { values: safeLong }).readAhead();
    }

    process(record, context) {
        const { key } = record;
        if (key === null) throw new Skip("the record has no key");
        const count = (this.counts.get(key) ?? 0) + 1;
        this.counts.put(key, count);
        context.forward(record.withValue(count, safeLong));
    }
}

export default plugin({ processors: { identity: Identity, count: Count } });
