// A plugin's predicates as the exports of world `plugin-predicate`; `millstream build` uses it.

import { answerOf } from "../plugin.js";

/** The interface `predicate` of a plugin. */
export function exportPredicates(plugin) {
    return {
        predicates: () => [...plugin.predicates.keys()],
        test(name, records) {
            try {
                return plugin.test(name, records);
            } catch (error) {
                throw answerOf(error);
            }
        },
    };
}
