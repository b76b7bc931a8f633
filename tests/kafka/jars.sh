#!/usr/bin/env bash
# Prints the directory that holds Kafka's jars; the first call fetches them with Maven.
#
# They live outside the checkout, in ${MILLSTREAM_CACHE:-$HOME/.cache/millstream}/kafka-VERSION, so that every checkout shares them.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
pom="$here/pom.xml"
version="$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' "$pom")"
jars="${MILLSTREAM_CACHE:-$HOME/.cache/millstream}/kafka-$version"

# A changed pom.xml fetches again: the directory remembers the one it was filled from.
filled() { cmp -s "$pom" "$jars/pom.xml"; }

if ! filled; then
    mkdir -p "$jars"
    exec 9>"$jars.lock"
    flock 9
    if ! filled; then
        command -v mvn >/dev/null || { echo "jars.sh: mvn is not there; run 'make setup', or install Maven" >&2; exit 1; }
        echo "fetching the jars of Kafka $version into $jars (126 MB, once)" >&2
        log="$jars.log"
        rm -rf "$jars"
        if ! mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$jars" >"$log" 2>&1 9>&-; then
            tail -n 20 "$log" >&2
            echo "jars.sh: Maven could not fetch Kafka $version; its whole output is in $log" >&2
            exit 1
        fi
        cp "$pom" "$jars/pom.xml"
    fi
    flock -u 9
fi
echo "$jars"
