#!/usr/bin/env bash
# A real Kafka broker (one node, KRaft) for tests and for `make run-kafka`: start, stop, kill, freeze, restart.
#
# Everything a broker owns is in its directory (--dir): settings, log, data, process id. Several run at once when each has its own
# directory. Settings are Kafka's defaults, except the replication factors, which one node cannot have; more by --set.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ready_seconds=60
stop_seconds=40

usage() {
    cat >&2 <<'TEXT'
usage: broker.sh COMMAND [--dir DIRECTORY] [options]

  start     start a broker, wait until it serves clients, print its bootstrap address; formats an empty directory,
            and takes up a used one with its data, address and settings
  stop      SIGTERM: the broker leaves in order
  kill      SIGKILL, in the middle of whatever it does
  freeze    SIGSTOP: connections stay open and nothing answers; thaw ends it
  thaw      SIGCONT
  restart   stop (or, with --hard, kill) and start again
  status    print state, bootstrap address and process id; exit 0 when it serves clients, 3 when not
  wipe      kill the broker and delete its directory

  --dir DIRECTORY       what the broker owns (default: .millstream/broker in the checkout)
options of the first start in a directory:
  --port N              client port on 127.0.0.1 (default 9092; "auto" looks for a free one)
  --sasl USER:PASSWORD  a second client port that asks for SASL/PLAIN; `status` prints its address
  --tls                 that port speaks TLS, with a certificate of its own making; `status` prints the file to trust
  --set NAME=VALUE      a broker property, as often as needed
  --quick               few partitions in Kafka's own topics, no wait for more members in a group's first rebalance, and up again
                        sooner after a kill
  --heap SIZE           largest Java heap (default 512m)
options of every start:
  --with-process PID    kill the broker when that process ends
  --wipe-with-process PID
                        and delete its directory, so that a test that was killed leaves nothing behind
TEXT
    exit 64
}

say() { echo "broker.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# --- arguments ---------------------------------------------------------------------------------------------------

[ $# -ge 1 ] || usage
command="$1"; shift
dir="$here/../../.millstream/broker"
port=9092; sasl=""; tls=no; heap=512m; quick=no; hard=no; with_process=""; then_wipe=no; settings=()
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=yes; shift; continue ;;
        --tls) tls=yes; shift; continue ;;
        --hard) hard=yes; shift; continue ;;
    esac
    [ $# -ge 2 ] || usage
    case "$1" in
        --dir) dir="$2" ;;
        --port) port="$2" ;;
        --sasl) sasl="$2" ;;
        --set) settings+=("$2") ;;
        --heap) heap="$2" ;;
        --with-process) with_process="$2" ;;
        --wipe-with-process) with_process="$2" then_wipe=yes ;;
        *) usage ;;
    esac
    shift 2
done
case "$command" in start | restart) mkdir -p "$dir" ;; esac
if [ ! -d "$dir" ]; then
    case "$command" in
        status) echo "state=absent"; exit 3 ;;
        stop | kill | wipe) exit 0 ;;
        *) die "there is no broker in $dir: start one first" ;;
    esac
fi
dir="$(cd "$dir" && pwd)"
properties="$dir/server.properties"

property() { sed -n "s|^$1=||p" "$properties" 2>/dev/null | tail -n 1; }
bootstrap() { property advertised.listeners | sed -n 's|.*PLAINTEXT://\([^,]*\).*|\1|p'; }
sasl_address() { property advertised.listeners | sed -n 's|.*CLIENT_SASL://\([^,]*\).*|\1|p'; }

# --- the process -------------------------------------------------------------------------------------------------

# The process id of this directory's broker, if it lives. The command line is compared, because ids are used again.
pid() {
    local id
    id="$(cat "$dir/pid" 2>/dev/null)" || return 1
    { tr '\0' ' ' <"/proc/$id/cmdline"; } 2>/dev/null | grep -qF "kafka.Kafka $properties" && echo "$id"
}

await_end() { # await_end PID SECONDS
    local deadline=$((SECONDS + $2))
    while kill -0 "$1" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.05
    done
}

signal() { # signal NAME: false when there is no broker to get it
    local id
    id="$(pid)" && kill -s "$1" "$id"
}

kill_hard() {
    local id
    id="$(pid)" || return 0
    kill -s KILL "$id"
    await_end "$id" 10 || die "process $id does not end after SIGKILL"
}

stop() {
    local id
    id="$(pid)" || return 0
    kill -s CONT "$id"
    kill -s TERM "$id"
    await_end "$id" "$stop_seconds" && return 0
    say "process $id did not end within $stop_seconds s; killing it"
    kill_hard
}

# --- is it ready? ------------------------------------------------------------------------------------------------

# Asks for metadata (version 7, no topics) and looks for at least one broker in the answer: an open port is not enough, since a node
# listens before it is unfenced. Request: size, key 3, version 7, correlation 1, no client id, no topics, no creation.
# Answer: size, correlation, throttle, number of brokers: the last four of the first 16 bytes.
serves_clients() { # serves_clients HOST:PORT
    local answer
    answer="$(
        exec 2>/dev/null # a refused connection is an answer here
        exec 3<>"/dev/tcp/${1%:*}/${1##*:}" || exit 1
        printf '\0\0\0\017\0\003\0\007\0\0\0\001\377\377\0\0\0\0\0' >&3
        timeout 2 head -c 16 <&3 | od -An -v -tx1 | tr -d ' \n'
    )" || return 1
    [ ${#answer} -eq 32 ] && [ "${answer:24:8}" != 00000000 ]
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() { # below the range from which the system gives outgoing connections theirs
    local candidate
    while :; do
        candidate=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
        port_is_free "$candidate" && { echo "$candidate"; return; }
    done
}

# --- settings ----------------------------------------------------------------------------------------------------

write_properties() {
    local plain="$port" controller listeners map="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    [ "$plain" != auto ] || plain="$(free_port)"
    controller="$(free_port)"
    listeners="PLAINTEXT://127.0.0.1:$plain"
    if [ -n "$sasl" ]; then
        listeners="$listeners,CLIENT_SASL://127.0.0.1:$(free_port)"
        if [ "$tls" = yes ]; then map="$map,CLIENT_SASL:SASL_SSL"; else map="$map,CLIENT_SASL:SASL_PLAINTEXT"; fi
    fi
    {
        cat <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=$listeners,CONTROLLER://127.0.0.1:$controller
advertised.listeners=$listeners
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=$map
log.dirs=$dir/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
TEXT
        if [ -n "$sasl" ]; then
            local module=org.apache.kafka.common.security.plain.PlainLoginModule
            echo "sasl.enabled.mechanisms=PLAIN"
            echo "listener.name.client_sasl.plain.sasl.jaas.config=$module required user_${sasl%%:*}=\"${sasl#*:}\";"
        fi
        if [ "$tls" = yes ]; then
            echo "ssl.keystore.location=$dir/keystore.p12"
            echo "ssl.keystore.type=PKCS12"
            echo "ssl.keystore.password=$keystore_password"
            echo "ssl.key.password=$keystore_password"
        fi
        if [ "$quick" = yes ]; then
            echo "offsets.topic.num.partitions=4"
            echo "transaction.state.log.num.partitions=4"
            echo "share.coordinator.state.topic.num.partitions=4"
            # A node that was killed may register again when its old session has ended: 9 s by default.
            echo "broker.session.timeout.ms=4000"
            echo "broker.heartbeat.interval.ms=1000"
            echo "group.initial.rebalance.delay.ms=0"
            echo "group.streams.initial.rebalance.delay.ms=0"
        fi
        [ ${#settings[@]} -eq 0 ] || printf '%s\n' "${settings[@]}"
    } >"$properties"
    echo "$heap" >"$dir/heap"
}

keystore_password=changeit # of a key that guards nothing

make_certificate() {
    local store=(-keystore "$dir/keystore.p12" -storetype PKCS12 -storepass "$keystore_password" -alias broker)
    rm -f "$dir/keystore.p12"
    keytool -genkeypair "${store[@]}" -keyalg EC -validity 3650 -dname CN=broker -ext san=ip:127.0.0.1 -ext bc:c >"$dir/keytool.log" 2>&1 \
        && keytool -exportcert -rfc "${store[@]}" >"$dir/trusted.pem" 2>>"$dir/keytool.log" \
        || die "keytool could not make a certificate; see $dir/keytool.log"
}

# --- start -------------------------------------------------------------------------------------------------------

java_log_flags=(-Dorg.slf4j.simpleLogger.showDateTime=true "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS")

format_data() {
    local jars="$1" id
    id="$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | head -c 22)"
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/*" kafka.tools.StorageTool \
        format --standalone -t "$id" -c "$properties" >"$dir/format.log" 2>&1 \
        || { tail -n 5 "$dir/format.log" >&2; die "could not format $dir/data; the whole output is in $dir/format.log"; }
}

launch() {
    local jars="$1"
    # setsid: neither the caller's terminal nor its process group reaches the broker. stdin and descriptors are not inherited.
    setsid java "-Xmx$(cat "$dir/heap")" -Xms256m -XX:TieredStopAtLevel=1 "${java_log_flags[@]}" \
        -cp "$jars/*" kafka.Kafka "$properties" </dev/null >>"$dir/broker.log" 2>&1 9>&- &
    echo $! >"$dir/pid"
}

# Ends broker $1 when process $2 has ended, then deletes directory $3 unless it is empty text. A broker that ended before, because it was
# restarted, has a watch of its own.
watch_over() {
    setsid bash -c '
        while kill -0 "$2" 2>/dev/null && kill -0 "$1" 2>/dev/null; do sleep 0.5; done
        kill -0 "$2" 2>/dev/null && exit
        kill -s KILL "$1" 2>/dev/null
        [ -z "$3" ] || rm -rf "$3"
    ' watch "$1" "$2" "$3" </dev/null >/dev/null 2>&1 9>&- &
}

await_ready() { # 0 ready, 1 the process ended, 2 it takes too long
    local address deadline=$((SECONDS + ready_seconds))
    address="$(bootstrap)"
    until serves_clients "$address"; do
        pid >/dev/null || return 1
        [ $SECONDS -lt $deadline ] || return 2
        sleep 0.05
    done
}

start() {
    command -v java >/dev/null || die "java is not there; run 'make setup', or install a JDK of version 17 or later"
    local jars fresh=no attempt
    jars="$("$here/jars.sh")"
    if pid >/dev/null; then
        await_ready || die "the broker in $dir runs and does not answer; see $dir/broker.log"
        bootstrap
        return
    fi
    [ -f "$properties" ] && [ -d "$dir/data" ] || fresh=yes
    for attempt in 1 2 3; do
        if [ "$fresh" = yes ]; then
            [ "$port" = auto ] || port_is_free "$port" || die "port $port is taken; choose another with --port, or --port auto"
            rm -rf "$dir/data"
            [ "$tls" = no ] || make_certificate
            write_properties
            format_data "$jars"
        fi
        launch "$jars"
        sleep 0.1
        if await_ready; then
            local wiped=""
            [ "$then_wipe" = no ] || wiped="$dir"
            [ -z "$with_process" ] || watch_over "$(cat "$dir/pid")" "$with_process" "$wiped"
            bootstrap
            return
        fi
        # Somebody may have taken a port that was free a moment ago: look for others, while nobody knows the address yet.
        if [ "$fresh" = yes ] && grep -q 'Address already in use' "$dir/broker.log"; then
            kill_hard
            : >"$dir/broker.log"
            continue
        fi
        break
    done
    grep -E 'ERROR|FATAL|Exception' "$dir/broker.log" | tail -n 5 >&2 || true
    kill_hard
    die "the broker did not come up within $ready_seconds s (attempt $attempt); its log is $dir/broker.log"
}

status() {
    local id state=stopped
    if id="$(pid)"; then
        state=silent
        ! serves_clients "$(bootstrap)" || state=ready
    fi
    echo "state=$state"
    echo "bootstrap=$(bootstrap)"
    [ -z "$(sasl_address)" ] || echo "sasl=$(sasl_address)"
    [ ! -f "$dir/trusted.pem" ] || echo "trusted=$dir/trusted.pem"
    [ -z "$id" ] || echo "pid=$id"
    [ "$state" = ready ] || exit 3
}

case "$command" in
    start) start ;;
    stop) stop ;;
    kill) kill_hard ;;
    freeze) signal STOP || die "no broker runs in $dir" ;;
    thaw) signal CONT || die "no broker runs in $dir" ;;
    restart)
        if [ "$hard" = yes ]; then kill_hard; else stop; fi
        start
        ;;
    status) status ;;
    wipe)
        kill_hard
        rm -rf "$dir"
        ;;
    *) usage ;;
esac
