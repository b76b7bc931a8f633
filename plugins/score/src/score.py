"""Scores payments against rules that are kept in the store `rules`. Rules arrive as records of their own, of the
country that is the key of both: `{"field": "amount", "above": 1000, "points": 40}` or `{"field": "card", "is":
"prepaid", "points": 30}`. A payment whose points reach the node's setting `limit` is forwarded to the child `held`,
any other to the child `passed`."""

from __future__ import annotations

from typing import Any

from millstream import Context, Fatal, KeyValueStore, Processor, Record, Setup, Skip, processor, serdes


def points_of(rule: dict[str, Any], payment: dict[str, Any]) -> int:
    """The points that a payment gets by a rule."""
    value = payment.get(rule["field"])
    if "above" in rule:
        hits = isinstance(value, (int, float)) and value > rule["above"]
    else:
        hits = value == rule["is"]
    return int(rule["points"]) if hits else 0


def rules_store(setup: Setup) -> KeyValueStore[str, Any]:
    return setup.store("rules", keys=serdes.text, values=serdes.json)


@processor("rules")
class Rules(Processor):
    """Keeps rules, each under its country and its name, which is in the header `rule`; one without a value ends."""

    def __init__(self, setup: Setup) -> None:
        self.rules = rules_store(setup)

    def process(self, record: Record, context: Context) -> None:
        name = record.headers.last("rule")
        if name is None:
            raise Skip("a rule has no name: give it in the header `rule`")
        rule = record.value_as(serdes.optional(serdes.json))
        if rule is not None and not {"field", "points"} <= rule.keys():
            raise Skip(f"the rule {name.decode()} names no field, or gives no points")
        self.rules.put(f"{record.key_as(serdes.text)}/{name.decode()}", rule)


@processor("score")
class Score(Processor):
    """Scores payments."""

    def __init__(self, setup: Setup) -> None:
        self.rules = rules_store(setup)
        self.held, self.passed = setup.child("held"), setup.child("passed")
        try:
            self.limit = int(setup.config.get("limit", "50"))
        except ValueError as error:
            raise Fatal("the setting `limit` is no number") from error

    def process(self, record: Record, context: Context) -> None:
        payment = record.value_as(serdes.json)
        rules = list(self.rules.prefix(f"{record.key_as(serdes.text)}/"))
        hits = {rule.key.partition("/")[2]: points_of(rule.value, payment) for rule in rules}
        points = sum(hits.values())
        scored = payment | {"points": points, "hits": [name for name, points in hits.items() if points]}
        child = self.held if points >= self.limit else self.passed
        context.forward_to(child, record.with_value(scored, serdes.json))
