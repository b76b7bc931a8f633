// Adds to each page view who the visitor is. Visitors arrive on a topic of their own, with the same keys as the views,
// and are kept in the store `visitors`; one that is deleted is forgotten. A view that can't be read goes to the
// dead-letter topic.

import { type Context, type KeyValueStore, type Processor, type Record, type Setup } from "@millstream/sdk";
import { DeadLetter, json, plugin, text } from "@millstream/sdk";

interface Visitor {
    name: string;
    country: string;
    plan?: "free" | "pro";
}

interface View {
    page: string;
    milliseconds: number;
}

/** Keeps visitors; forwards nothing. */
class Visitors implements Processor {
    private readonly visitors: KeyValueStore<string, Visitor>;

    constructor(setup: Setup) {
        this.visitors = setup.store("visitors", { keys: text, values: json });
    }

    process(record: Record): void {
        this.visitors.put(record.keyAs(text), record.value && record.valueAs<Visitor>(json));
    }
}

/** Enriches views. */
class Enrich implements Processor {
    private readonly visitors: KeyValueStore<string, Visitor>;
    private readonly elsewhere: string;

    constructor(setup: Setup) {
        this.visitors = setup.store("visitors", { keys: text, values: json }).readAhead();
        this.elsewhere = setup.config("unknown-country") ?? "??";
    }

    process(record: Record, context: Context): void {
        const view = viewOf(record);
        const visitor = this.visitors.get(record.keyAs(text));
        const who = {
            name: visitor?.name ?? null,
            country: visitor?.country ?? this.elsewhere,
            isPaying: visitor?.plan === "pro",
        };
        const headers = visitor === null ? record.headers.with("unknown", "visitor") : record.headers;
        context.forward(record.withValue({ ...view, ...who }, json).withHeaders(headers));
    }
}

function viewOf(record: Record): View {
    if (record.key === null) throw new DeadLetter("a view has no visitor: it has no key");
    let view: Partial<View>;
    try {
        view = record.valueAs<Partial<View>>(json);
    } catch (error) {
        throw new DeadLetter("a view can't be read", { cause: error });
    }
    if (typeof view?.page !== "string") throw new DeadLetter("a view has no page");
    return { page: view.page, milliseconds: view.milliseconds ?? 0 };
}

export default plugin({ processors: { visitors: Visitors, enrich: Enrich } });
