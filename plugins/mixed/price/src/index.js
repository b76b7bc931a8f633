// Prices orders by the list in the node's setting `prices`: cents by item. An order of anything else goes to the dead-letter topic.

import { DeadLetter, json, plugin } from "@millstream/sdk";

class Price {
  constructor(setup) {
    this.prices = JSON.parse(setup.required("prices"));
  }

  process(record, context) {
    const order = record.valueAs(json);
    const price = this.prices[order.item];
    if (price === undefined) throw new DeadLetter(`there is no price for ${order.item}`);
    context.forward(record.withValue({ ...order, cents: price * order.quantity }, json));
  }
}

export default plugin({ processors: { price: Price } });
