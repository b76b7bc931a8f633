// What a processor is told when it begins.

import { Child } from "./context.js";
import { Fatal } from "./error.js";

/** What a processor is told when it begins; it also opens stores and schedules punctuations. */
export class Setup {
    constructor(setup, context) {
        /** Which of the plugin's processors this is. */
        this.processor = setup.processor;
        /** The node's name in the topology. */
        this.node = setup.node;
        /** The task: number of the sub-topology, underscore, partition (`0_3`). */
        this.task = setup.task;
        /** The names of the nodes below this one. */
        this.children = setup.children;
        /** The names of the stores that this node may open. */
        this.stores = setup.stores;
        /** The node's settings. */
        this.settings = new Map(setup.config);
        this._context = context;
    }

    /** A setting of the node; undefined if the application gives none. */
    config(key) {
        return this.settings.get(key);
    }

    /** A setting of the node that must be there. */
    required(key) {
        const value = this.settings.get(key);
        if (value === undefined) {
            throw new Fatal(`the node's setting \`${key}\` is missing: give it in \`config\``);
        }
        return value;
    }

    /** The node below this one with that name, for `context.forwardTo`. */
    child(name) {
        const index = this._context._host.child(name);
        if (index == null) {
            throw new Fatal(
                `there is no child \`${name}\`, but ${JSON.stringify(this.children)}: name one of them as input`,
            );
        }
        return new Child(index, name);
    }

    /** Opens a store of the node. Without serdes, keys and values are bytes; strings are taken, too. */
    store(name, serdes) {
        return this._context._openStore(name, serdes);
    }

    schedule(intervalMs, kind, punctuator) {
        return this._context.schedule(intervalMs, kind, punctuator);
    }

    scheduleAt(start, intervalMs, kind, punctuator) {
        return this._context.scheduleAt(start, intervalMs, kind, punctuator);
    }

    cancel(punctuation) {
        this._context.cancel(punctuation);
    }

    streamTime() {
        return this._context.streamTime();
    }

    wallClockTime() {
        return this._context.wallClockTime();
    }

    commit() {
        this._context.commit();
    }
}
