#!/usr/bin/env bash
# The sample application on a real broker: `word-count.sh APP.toml INPUT [DURATION]`; `make run-kafka` calls it.
#
# Starts a broker in .millstream/broker (address localhost:9092, as the application's manifest says), writes the lines of INPUT to
# TextLinesTopic, runs the application and shows what it writes to WordsWithCountsTopic by Kafka's own console consumer. Ctrl-C ends
# all of it, and so does the end of DURATION (as `timeout` takes it). Topics and state stay, so that the next run counts on;
# `make clean` deletes them.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
app="$1" input="$2" duration="${3:-0}" # timeout takes 0 as for ever
millstream="${MILLSTREAM:?set it to the path of the program millstream}"
[ -r "$input" ] || { echo "word-count.sh: cannot read $input" >&2; exit 64; }

consumer=""
leave() {
    trap - EXIT
    [ -z "$consumer" ] || kill "$consumer" 2>/dev/null || true
    "$here/broker.sh" stop
}
trap leave EXIT
trap : INT # the application gets Ctrl-C too, commits and leaves; then this script goes on to its end

echo "starting a broker" >&2
bootstrap="$("$here/broker.sh" start --quick)"
creating=()
for topic in TextLinesTopic WordsWithCountsTopic; do
    "$here/java.sh" org.apache.kafka.tools.TopicCommand --bootstrap-server "$bootstrap" \
        --create --if-not-exists --topic "$topic" --partitions 2 >&2 &
    creating+=($!)
done
for job in "${creating[@]}"; do wait "$job"; done
"$here/java.sh" Produce "$bootstrap" TextLinesTopic <"$input"

# In a group of its own, so that it shows what the application wrote before it was ready, and nothing that it has shown before.
"$here/java.sh" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$bootstrap" --topic WordsWithCountsTopic \
    --group word-count-console --from-beginning --isolation-level read_committed --formatter-property print.key=true \
    --formatter-property value.deserializer=org.apache.kafka.common.serialization.LongDeserializer 2>/dev/null &
consumer=$!

echo "running $app; the words and counts are what Kafka's console consumer reads" >&2
code=0
timeout --foreground --signal INT "$duration" "$millstream" run --state-dir "$here/../../.millstream/state" "$app" || code=$?
[ "$code" = 124 ] || exit "$code" # 124: DURATION is over, as asked
