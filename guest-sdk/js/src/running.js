// A processor that has begun, and the calls of the host that it answers.

import { atOnce } from "./at-once.js";
import { Batch } from "./batch.js";
import { Context, asProcessorError } from "./context.js";
import { Setup } from "./setup.js";

export class Running {
    /** Begins `Processor`; throws what it throws. */
    constructor(host, Processor, setup) {
        this.context = new Context(host);
        this.processor = atOnce(new Processor(new Setup(setup, this.context)), "the constructor");
        this.context._end();
    }

    /** Processes a batch; returns the rows that failed, with their errors. */
    process(columns) {
        const { context, processor } = this;
        const batch = new Batch(columns);
        context._beginBatch(batch);
        if (processor.processBatch === undefined) {
            processEach(processor, batch, context);
        } else {
            processTogether(processor, batch, context);
        }
        context._end();
        return context._takeFailures();
    }

    /** Calls a punctuation; throws a ProcessorError. */
    punctuate(id, kind, timestamp) {
        const { context, processor } = this;
        const own = context._punctuations.get(id);
        context._beginPunctuation(timestamp);
        try {
            if (own?.punctuator !== undefined) {
                atOnce(own.punctuator(timestamp, context), "a punctuator");
            } else {
                atOnce(processor.punctuate?.(own?.punctuation, kind, timestamp, context), "`punctuate`");
            }
        } catch (error) {
            context._takeBackPunctuation();
            context._end();
            throw asProcessorError(error);
        }
        context._end();
    }

    close() {
        atOnce(this.processor.close?.(), "`close`");
    }
}

function processEach(processor, batch, context) {
    const { length } = batch;
    for (let row = 0; row < length; row++) {
        context._beginRow(row);
        try {
            atOnce(processor.process(batch.record(row), context), "`process`");
        } catch (error) {
            if (!context._fail(row, error)) {
                break;
            }
        }
        context._output.handOverWhenLarge();
    }
}

function processTogether(processor, batch, context) {
    if (batch.length > 1) {
        // What it throws ends the call, and the host gives the records again, one by one.
        atOnce(processor.processBatch(batch, context), "`processBatch`");
        return;
    }
    for (const store of context._stores) store._cache.beginRecord();
    try {
        atOnce(processor.processBatch(batch, context), "`processBatch`");
    } catch (error) {
        // The one record is to blame.
        context._fail(0, error);
    }
}
