// A plugin's processors as the exports of world `plugin-processor`; `millstream build` uses it.

import * as context from "millstream:processor/context@0.1.0";
import { KeyValueStore } from "millstream:processor/state@0.1.0";
import { reasonOf } from "../error.js";
import { answerOf } from "../plugin.js";
import { Running } from "../running.js";

const host = { ...context, openStore: (name) => KeyValueStore.open(name) };

/** The interface `processor` of a plugin. */
export function exportProcessors(plugin) {
    let running = null;
    return {
        processors: () => [...plugin.processors.keys()],
        init(setup) {
            try {
                running = new Running(host, plugin.processor(setup.processor), setup);
            } catch (error) {
                throw answerOf(error);
            }
        },
        process: (records) => running.process(records).map(({ row, error }) => ({ row, reaction: reactionOf(error) })),
        punctuate(id, kind, timestamp) {
            try {
                running.punctuate(id, kind, Number(timestamp));
            } catch (error) {
                throw reactionOf(error);
            }
        },
        close: () => running.close(),
    };
}

function reactionOf(error) {
    return { tag: error.reaction, val: reasonOf(error) };
}
