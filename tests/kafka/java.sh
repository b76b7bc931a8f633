#!/usr/bin/env bash
# Runs a Java program against Kafka's jars: `java.sh CLASS ARGUMENTS`.
#
# A name without a dot is a class of java/ beside this file, compiled when it has changed; one with dots is a main class of the jars:
#   java.sh ReadLongs 127.0.0.1:9092 WordsWithCountsTopic
#   java.sh org.apache.kafka.tools.TopicCommand --bootstrap-server 127.0.0.1:9092 --list
#   java.sh org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server 127.0.0.1:9092 --topic t --from-beginning
# JAVA_FLAGS adds flags of the virtual machine. `java.sh --class-path DIRECTORY` compiles the classes of DIRECTORY (not those below) and
# prints the class path with which they run.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
class="$1"; shift
jars="$("$here/jars.sh")"
path="$jars/*"

# Classes are kept by the digest of their sources, so that two checkouts do not compile over each other.
compile() { # compile DIRECTORY
    local digest classes building
    digest="$(cat "$1"/*.java "$here/pom.xml" | sha256sum | head -c 16)"
    classes="${MILLSTREAM_CACHE:-$HOME/.cache/millstream}/java-classes/$digest"
    if [ ! -d "$classes" ]; then
        command -v javac >/dev/null || { echo "java.sh: javac is not there; run 'make setup', or install a JDK" >&2; exit 1; }
        mkdir -p "$(dirname "$classes")"
        building="$(mktemp -d "$classes.XXXXXX")"
        javac -Xlint:all,-path,-processing -Werror -d "$building" -cp "$jars/*" "$1"/*.java
        mv -T "$building" "$classes" 2>/dev/null || rm -rf "$building" # somebody else was quicker
    fi
    path="$classes:$path"
}

case "$class" in
    --class-path)
        compile "${1:?name the directory}"
        echo "$path"
        exit
        ;;
    *.*) ;;
    *)
        [ -f "$here/java/$class.java" ] || { echo "java.sh: there is no $class in $here/java" >&2; exit 64; }
        compile "$here/java"
        ;;
esac

# The flags are for short runs: no second compiler, the smallest collector. They come first, so that JAVA_FLAGS can undo them.
# Errors only: the libraries warn about settings that do not matter here.
# shellcheck disable=SC2086 # JAVA_FLAGS is a list
exec java -Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
    ${JAVA_FLAGS:-} -cp "$path" "$class" "$@"
