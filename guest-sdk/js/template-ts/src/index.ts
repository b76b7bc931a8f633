// Says of each record how often its key has come.

import { plugin, safeLong, text, type Context, type KeyValueStore, type Processor, type Record, type Setup } from "@millstream/sdk";

export class {{pascal}} implements Processor {
  private readonly seen: KeyValueStore<string, number>;

  constructor(setup: Setup) {
    this.seen = setup.store("seen", { keys: text, values: safeLong }).readAhead();
  }

  process(record: Record, context: Context): void {
    const key = record.keyAs(text);
    const times = (this.seen.get(key) ?? 0) + 1;
    this.seen.put(key, times);
    context.forward(record.withValue(`${key} has come ${times} times`));
  }
}

export default plugin({ processors: { "{{name}}": {{pascal}} } });
