// What `measure.rs` measures of JavaScript.

import { Skip, plugin, safeLong, text } from "@millstream/sdk";

class Identity {
    process(record, context) {
        context.forward(record);
    }
}

class Capitals {
    process(record, context) {
        context.forward(record.withValue(record.valueAs(text).toUpperCase()));
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

export default plugin({ processors: { identity: Identity, capitals: Capitals, count: Count } });
