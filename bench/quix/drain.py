"""The workloads on Quix Streams: `drain.py PROGRAM BOOTSTRAP APPLICATION-ID INPUT OUTPUT STATE-DIRECTORY GUARANTEE COMMIT-SECONDS`."""

import re
import sys
from typing import Any

from quixstreams import Application, State

NO_WORD = re.compile(r"\W+")


def pass_through(app: Application, source: str, target: str) -> None:
    records = app.topic(source, value_deserializer="bytes")
    app.dataframe(records).to_topic(app.topic(target, value_serializer="bytes"))


def json_filter(app: Application, source: str, target: str) -> None:
    def bill(order: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": order["id"],
            "customer": order["customer"],
            "country": order["country"].upper(),
            "total": order["quantity"] * order["cents"],
            "note": order["note"],
        }

    orders = app.dataframe(app.topic(source, value_deserializer="json"))
    orders.filter(lambda order: order["priority"]).apply(bill).to_topic(app.topic(target, value_serializer="json"))


def word_count(app: Application, source: str, target: str) -> None:
    def count(_: str, state: State) -> bytes:
        now = state.get("count", 0) + 1
        state.set("count", now)
        return now.to_bytes(8, "big")

    lines = app.dataframe(app.topic(source, value_deserializer="str"))
    words = lines.apply(lambda line: NO_WORD.split(line.lower()), expand=True)
    text = {f"{field}_{way}serializer": "str" for field in ("key", "value") for way in ("", "de")}
    counts = words.group_by(lambda word: word, name="words", **text).apply(count, stateful=True)
    counts.to_topic(app.topic(target, key_serializer="str", value_serializer="bytes"))


def update(app: Application, source: str, target: str) -> None:
    def visit(value: bytes, state: State) -> bytes:
        before = state.get_bytes("visit")
        count = 1 if before is None else int.from_bytes(before[:8], "big") + 1
        now = count.to_bytes(8, "big") + value[8:]
        state.set_bytes("visit", now)
        return now

    records = app.dataframe(app.topic(source, value_deserializer="bytes"))
    records.apply(visit, stateful=True).to_topic(app.topic(target, value_serializer="bytes"))


PROGRAMS = {"pass-through": pass_through, "json-filter": json_filter, "word-count": word_count, "update": update}


def main() -> None:
    program, bootstrap, application_id, source, target, state, guarantee, commit_seconds = sys.argv[1:]
    app = Application(
        bootstrap,
        consumer_group=application_id,
        auto_offset_reset="earliest",
        commit_interval=float(commit_seconds),
        state_dir=state,
        processing_guarantee=guarantee,
        loglevel="WARNING",
    )
    PROGRAMS[program](app, source, target)
    app.run()


if __name__ == "__main__":
    main()
