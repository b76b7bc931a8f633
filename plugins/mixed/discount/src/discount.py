"""Gives every third order of a customer for half the price. The store `orders` knows how many orders a customer has given."""

from millstream import Context, Processor, Record, Setup, processor, serdes


@processor("discount")
class Discount(Processor):
    def __init__(self, setup: Setup) -> None:
        self.orders = setup.store("orders", keys=serdes.text, values=serdes.long).read_ahead()

    def process(self, record: Record, context: Context) -> None:
        customer = record.key_as(serdes.text)
        number = (self.orders.get(customer) or 0) + 1
        self.orders.put(customer, number)
        order = record.value_as(serdes.json) | {"number": number}
        if number % 3 == 0:
            order["cents"] //= 2
        context.forward(record.with_value(order, serdes.json))
