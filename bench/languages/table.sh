#!/usr/bin/env bash
# Writes bench/LANGUAGES.md: table.sh MEASURE DIRECTORY PAGE, where MEASURE is the program that measures and DIRECTORY holds the plugins.
set -euo pipefail

measure="$1" directory="$2" page="$3"
version() { "$@" 2>&1 | head -n 1; }
{
    cat <<TEXT
# What a record costs in each language

Nanoseconds of CPU a record inside the instance, crossing included, the quickest of seven rounds; in batches of 1, 10, 100 and 1 000 records. Written by
\`make bench-languages\`. Stateless: each record of 108 bytes is forwarded as it is. Count: get, add, put (a store in memory, 10 000 keys), forward.
\`one by one\` is Python's way for a record at a time, beside whole columns. The last row is \`tests/stranger\`: C against \`wit/\` alone.

- **machine**: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; load when it began $(cut -d' ' -f1 /proc/loadavg)
- **compilers**: $(version rustc --version); $(version go version); $(version node --version) (QuickJS inside); $(version python3 --version) (CPython inside)

TEXT
    "$measure" --languages "$directory"/{c,go,javascript,typescript,python}
} >"$page.new"
mv "$page.new" "$page"
