// A plugin's predicates as the exports of world `plugin-predicate`; `millstream build` uses it.

import { answerOf } from "../plugin.js";
import { beginCall } from "../random.js";

/** The interface `predicate` of a plugin. */
export function exportPredicates(plugin) {
    return {
        predicates: () => [...plugin.predicates.keys()],
        test(name, records) {
            beginCall();
            try {
                return plugin.test(name, records);
            } catch (error) {
                throw answerOf(error);
            }
        },
    };
}
