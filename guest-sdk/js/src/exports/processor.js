// A plugin's processors as the exports of world `plugin-processor`; `millstream build` uses it.

import * as context from "millstream:processor/context@0.1.0";
import { KeyValueStore } from "millstream:processor/state@0.1.0";
import { reasonOf } from "../error.js";
import { answerOf } from "../plugin.js";
import { beginCall } from "../random.js";
import { Running } from "../running.js";
import { wellFormed } from "../utf8.js";

// Any text may come from data, and the host takes no surrogate that is alone.
const host = {
    ...context,
    child: (name) => context.child(wellFormed(name)),
    openStore: (name) => KeyValueStore.open(wellFormed(name)),
};

/** The interface `processor` of a plugin. */
export function exportProcessors(plugin) {
    let running = null;
    return {
        processors: () => [...plugin.processors.keys()],
        init(setup) {
            beginCall();
            try {
                running = new Running(host, plugin.processor(setup.processor), setup);
            } catch (error) {
                throw answerOf(error);
            }
        },
        process(records) {
            beginCall();
            return running.process(records).map(({ row, error }) => ({ row, reaction: reactionOf(error) }));
        },
        punctuate(id, kind, timestamp) {
            beginCall();
            try {
                running.punctuate(id, kind, Number(timestamp));
            } catch (error) {
                throw reactionOf(error);
            }
        },
        close() {
            beginCall();
            running.close();
        },
    };
}

function reactionOf(error) {
    return { tag: error.reaction, val: wellFormed(reasonOf(error)) };
}
