// A plugin's key selectors as the exports of world `plugin-key-selector`; `millstream build` uses it.

import { answerOf } from "../plugin.js";
import { beginCall } from "../random.js";

/** The interface `key-selector` of a plugin. */
export function exportKeySelectors(plugin) {
    return {
        keySelectors: () => [...plugin.keySelectors.keys()],
        selectKey(name, records) {
            beginCall();
            try {
                return plugin.selectKey(name, records);
            } catch (error) {
                throw answerOf(error);
            }
        },
    };
}
