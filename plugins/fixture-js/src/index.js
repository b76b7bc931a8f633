// What goes wrong in JavaScript alone: numbers that are no chance, surrogates that are alone, work that goes on later.
// The key of a record is a command, its value the operand.

import { DeadLetter, Skip, json, log, plugin, text } from "@millstream/sdk";

/** When the plugin was built: no instance has begun. */
const atTheTop = Math.random();

class Numbers {
    constructor() {
        this.first = Math.random();
    }

    process(record, context) {
        const ways = {
            top: () => atTheTop,
            first: () => this.first,
            random: () => Math.random(),
            values: () => crypto.getRandomValues(new Uint16Array(4)).join(),
            uuid: () => crypto.randomUUID(),
            many: () => {
                const counts = new Array(10).fill(0);
                for (let left = 10000; left > 0; left--) counts[Math.floor(Math.random() * 10)]++;
                return Math.max(...counts) - Math.min(...counts) < 300 && Math.min(...counts) > 800;
            },
        };
        context.forward(record.withValue(String(ways[record.keyAs(text)]())));
    }
}

/** Takes text from JSON, which may name half of a character, to wherever a text can go. */
class Halves {
    constructor(setup) {
        const half = JSON.parse(setup.config("half") ?? '""');
        if (setup.config("where") === "error") throw new Error(half);
        if (setup.config("where") === "child") setup.child(half);
        if (setup.config("where") === "store") setup.store(half);
    }

    process(record, context) {
        const half = record.valueAs(json);
        const ways = {
            skip: () => {
                throw new Skip(half);
            },
            "dead-letter": () => {
                throw new DeadLetter(half);
            },
            error: () => {
                throw new Error(half);
            },
            text: () => {
                throw half;
            },
            log: () => log.info(half),
            console: () => console.log(half, [half], new Error(half)),
            forward: () => context.forward(record.withKey(half).withValue(half).withHeaders([[half, half]])),
        };
        ways[record.keyAs(text)]();
    }
}

class Later {
    process(record, context) {
        context.forward(record);
        return record.keyAs(text) === "now" ? undefined : this.later(record, context);
    }

    async later(record, context) {
        await null;
        context.forward(record);
    }
}

export default plugin({
    processors: { numbers: Numbers, halves: Halves, later: Later },
    predicates: {
        half: (record) => {
            throw new Error(record.valueAs(json));
        },
    },
    keySelectors: { chance: () => String(Math.random()) },
});
