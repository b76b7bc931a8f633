#!/usr/bin/env bash
# Prints the Python that has Quix Streams; the first call makes a virtual environment and installs what requirements.txt says.
#
# It lies outside the checkout, in ${MILLSTREAM_CACHE:-$HOME/.cache/millstream}/quix-DIGEST.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
digest="$(sha256sum <"$here/requirements.txt" | head -c 16)"
directory="${MILLSTREAM_CACHE:-$HOME/.cache/millstream}/quix-$digest"

if [ ! -f "$directory/complete" ]; then
    command -v python3 >/dev/null || { echo "python.sh: python3 is not there; run '.ci/install bench'" >&2; exit 1; }
    mkdir -p "$(dirname "$directory")"
    exec 9>"$directory.lock"
    flock 9
    if [ ! -f "$directory/complete" ]; then
        echo "installing Quix Streams into $directory (once)" >&2
        log="$directory.log"
        rm -rf "$directory"
        if ! { python3 -m venv "$directory" && "$directory/bin/pip" install -q -r "$here/requirements.txt"; } >"$log" 2>&1 9>&-; then
            tail -n 15 "$log" >&2
            echo "python.sh: Quix Streams can't be installed; the whole output is in $log. Other engines: ENGINES=millstream,..." >&2
            exit 1
        fi
        touch "$directory/complete"
    fi
    flock -u 9
fi
echo "$directory/bin/python"
