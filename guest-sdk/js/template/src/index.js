// Says of each record how often its key has come.

import { plugin, safeLong, text } from "@millstream/sdk";

export class {{pascal}} {
  constructor(setup) {
    this.seen = setup.store("seen", { keys: text, values: safeLong }).readAhead();
  }

  process(record, context) {
    const key = record.keyAs(text);
    const times = (this.seen.get(key) ?? 0) + 1;
    this.seen.put(key, times);
    context.forward(record.withValue(`${key} has come ${times} times`));
  }
}

export default plugin({ processors: { "{{name}}": {{pascal}} } });
