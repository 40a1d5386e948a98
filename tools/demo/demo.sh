#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The main job on real TLS: three hosts in network namespaces, nginx behind thruwayd, curl in front.
# Needs root and what `make` built (BUILD, default build/). Ends by itself and leaves nothing behind;
# exits non-zero, with the step that failed, when something is not as it should be.
# app.crt and app.key are the public example pair of NGINX Gateway Fabric's TLS passthrough guide,
# whose manifests are applied as they stand.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
guide=$here/../../tests/corpus/config/gateway_guide.yaml
build=${BUILD:-$here/../../build}
id=twdemo$$
client=${id}c router=${id}r server=${id}s
bpffs=/sys/fs/bpf
work=$(mktemp -d "/tmp/$id.XXXXXX")
pids=()
step="start"
mounted=

say() {
    step=$*
    if [ -t 1 ]; then printf '\n\e[1m==> %s\e[0m\n' "$*"; else printf '\n==> %s\n' "$*"; fi
}

# Show a command, then run it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

in_ns() { nsenter --net="/run/netns/$1" -- "${@:2}"; }

# The same in the background, by the id of the program itself; cleanup() ends it.
start_in() {
    nsenter --net="/run/netns/$1" -- "${@:2}" &
    pids+=($!)
}

thruway() {
    printf '$ thruway %s\n' "$*"
    in_ns "$router" "$build/thruway" --instance "$id" "$@"
}

cleanup() {
    local status=$? pid name
    trap - EXIT INT TERM
    set +e
    [ "$status" = 0 ] || {
        printf '\ndemo: failed at: %s\n' "$step"
        [ ! -s "$work/thruwayd.log" ] || sed 's/^/thruwayd: /' "$work/thruwayd.log"
    } >&2
    exec 3>&- 2> /dev/null
    kill "${pids[@]}"
    for pid in "${pids[@]}"; do
        for _ in {1..50}; do kill -0 "$pid" || break; sleep 0.1; done
        ! kill -0 "$pid" || kill -9 "$pid"
        wait "$pid"
    done
    for name in "$client" "$router" "$server"; do
        [ ! -e "/run/netns/$name" ] || ip netns del "$name"
    done
    rm -rf "${bpffs:?}/$id" "/run/$id" "$work"
    [ -z "$mounted" ] || umount "$bpffs"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "demo: $*" >&2
    exit 1
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local tries=$(($1 * 20)) what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        ((tries-- > 0)) || fail "$what did not happen in time"
        sleep 0.05
    done
}

make_hosts() {
    local name
    for name in "$client" "$router" "$server"; do
        ip netns add "$name"
        ip -n "$name" link set lo up
    done
    ip link add eth0 netns "$client" type veth peer name clients netns "$router"
    ip link add eth0 netns "$server" type veth peer name servers netns "$router"
    ip -n "$client" addr add 198.51.100.2/24 dev eth0
    ip -n "$router" addr add 198.51.100.1/24 dev clients
    ip -n "$router" addr add 10.0.0.1/24 dev servers
    ip -n "$server" addr add 10.0.0.5/24 dev eth0
    ip -n "$server" addr add 10.0.0.6/24 dev eth0
    for name in "$client eth0" "$router clients" "$router servers" "$server eth0"; do
        ip -n "${name% *}" link set "${name#* }" up
    done
}

# start_nginx POD ADDRESS NAME CERTIFICATE KEY: an HTTPS pod whose host name is POD.
start_nginx() {
    local dir=$work/$1
    mkdir "$dir"
    cat > "$dir/nginx.conf" <<CONF
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log $dir/error.log;
events {}
http {
  access_log off;
  client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
  server {
    listen $2:8443 ssl;
    server_name $3;
    ssl_certificate $4;
    ssl_certificate_key $5;
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type text/plain;
    location / { return 200 "hello from pod \$hostname\n"; }
  }
}
CONF
    # shellcheck disable=SC2016 # expanded by the inner shell
    start_in "$server" unshare --uts -- sh -c \
        'hostname "$1"; exec nginx -e "$2/error.log" -c "$2/nginx.conf"' nginx "$1" "$dir"
    wait_for 10 "nginx on $2:8443" in_ns "$server" curl -ks --max-time 2 "https://$2:8443/"
}

# Certificate, handshake, status and body out of what curl -v says.
ask() {
    local url=https://$1 out=$work/curl.out
    printf '$ curl --resolve %s:443:198.51.100.1 %s --insecure -v\n' "$1" "$url"
    in_ns "$client" curl --resolve "$1:443:198.51.100.1" "$url" --insecure -v -sS --max-time 10 \
        > "$out" 2>&1 || { cat "$out" >&2; fail "curl could not get $url"; }
    grep -E '^\* +(Connected|SSL connection|subject|start date|expire date|issuer|SSL certificate)|^[<>] [GH]|^hello' \
        "$out"
    grep -qE "^\*  subject:.*CN=$2\b" "$out" || fail "the certificate is not the one of $2"
    grep -qx "hello from pod $3" "$out" || fail "$3 did not answer"
}

# The counters of one object: bpftool map lookup takes the id as four bytes.
lookup() {
    local key
    key=$(printf '%08x' "$2" | sed -E 's/(..)(..)(..)(..)/0x\4 0x\3 0x\2 0x\1/')
    printf '$ bpftool map lookup pinned %s/%s/%s key %s\n' "$bpffs" "$id" "$1" "$key"
    # shellcheck disable=SC2086 # four words
    "$bpftool" map lookup pinned "$bpffs/$id/$1" key $key
}

# bpftool map dump, of which only the lines that the pattern names are shown.
dump() {
    printf '$ bpftool map dump pinned %s/%s/%s   # %s\n' "$bpffs" "$id" "$1" "$2"
    "$bpftool" map dump pinned "$bpffs/$id/$1" > "$work/$1.json"
}

[ "$(id -u)" = 0 ] || fail "this makes network namespaces and loads BPF: run it as root (sudo make demo)"
[ -x "$build/thruwayd" ] || fail "$build/thruwayd does not exist: run make first"
bpftool=$(command -v bpftool || echo /usr/sbin/bpftool)
mountpoint -q $bpffs || { mount -t bpf bpf $bpffs && mounted=yes; }

say "three hosts: a client, this router, a server (network namespaces joined by veth)"
make_hosts
echo "client 198.51.100.2 -- 198.51.100.1 router 10.0.0.1 -- 10.0.0.5, 10.0.0.6 server"

say "two real backends: nginx with its own certificate for each name; the router holds no key"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=shop.example.com \
    -out "$work/shop.crt" -keyout "$work/shop.key" 2> /dev/null
start_nginx secure-app-575785644-kzqf6 10.0.0.5 app.example.com "$here/app.crt" "$here/app.key"
start_nginx secure-shop-6cf7d88c4-x2x9w 10.0.0.6 shop.example.com "$work/shop.crt" "$work/shop.key"
echo "10.0.0.5:8443 app.example.com, 10.0.0.6:8443 shop.example.com"

say "thruwayd starts with a YAML file: one listener, one route"
cat > "$work/thruway.yaml" <<'CONF'
listeners:
  - name: tls
    port: 443
    hostname: "*.example.com"
routes:
  - hostnames: [app.example.com]
    backends: ["10.0.0.5:8443"]
CONF
cat "$work/thruway.yaml"
start_in "$router" "$build/thruwayd" -c "$work/thruway.yaml" --instance "$id" 2> "$work/thruwayd.log"
thruwayd=${pids[-1]}
is_ready_or_gone() { grep -qw ready "$work/thruwayd.log" || ! kill -0 "$thruwayd"; }
wait_for 20 "thruwayd's ready" is_ready_or_gone
kill -0 "$thruwayd" 2> /dev/null || fail "thruwayd ended"

say "a client reaches app.example.com: the certificate is the backend's own, nothing was decrypted"
ask app.example.com app.example.com secure-app-575785644-kzqf6

say "one more route while it runs: it holds for the next connection, without a reload"
thruway route add shop.example.com 10.0.0.6:8443
thruway route show
ask shop.example.com shop.example.com secure-shop-6cf7d88c4-x2x9w

say "a name that nobody routes is refused at once, before any byte of a server"
printf '$ curl --resolve other.example.com:443:198.51.100.1 https://other.example.com --insecure\n'
if in_ns "$client" curl --resolve other.example.com:443:198.51.100.1 https://other.example.com --insecure -sS \
    --max-time 10 2>&1; then
    fail "other.example.com was served"
fi

say "the router's view: an open connection (held by openssl s_client), by route and backend"
mkfifo "$work/hold"
exec 3<> "$work/hold" # a pipe that never says anything keeps s_client waiting
start_in "$client" openssl s_client -connect 198.51.100.1:443 -servername app.example.com -quiet \
    < "$work/hold" > /dev/null 2>&1
is_open() { in_ns "$router" "$build/thruway" --instance "$id" -j conn show | grep -q '"to_client": *[1-9]\|"bytes_to_client": *[1-9]'; }
wait_for 10 "an open connection" is_open
thruway conn show

say "the router's counters"
thruway stats

say "the same from the pinned BPF maps, by bpftool alone (the daemon is not asked)"
dump tw_names "names and where they lead"
grep -E '"name"|"route"|"flags"' "$work/tw_names.json"
route_id=$(in_ns "$router" "$build/thruway" --instance "$id" -j route show app.example.com |
    grep -o '"id": *[0-9]*' | head -1 | grep -o '[0-9]*$')
lookup tw_route_stats "$route_id"
lookup tw_listener_stats 1

say "Kubernetes objects instead: the Gateway API's TLS passthrough guide, its manifests as they stand"
mkdir "$work/guide"
cp "$guide" "$work/guide/guide.yaml"
grep '^kind:' "$work/guide/guide.yaml" | sort | uniq -c
echo "(what is not of the Gateway API or a Service is skipped)"
echo "and, where no cluster says it with EndpointSlices, the address of the Service's pod:"
echo 'endpoints: [{service: secure-app, addresses: [10.0.0.5]}]' | tee "$work/guide/endpoints.yaml"
thruway apply -f "$work/guide"
ask app.example.com app.example.com secure-app-575785644-kzqf6

say "their conditions, as a cluster would show them, and why the name goes where it goes"
thruway status gateway/gateway
thruway status tlsroute/tls-secure-app-route -o yaml
thruway route explain app.example.com

say "all of it goes away"
exec 3>&-
thruway down
[ ! -e "$bpffs/$id" ] || fail "pins are left"
is_gone() { ! kill -0 "$thruwayd"; }
wait_for 10 "the end of thruwayd" is_gone
step="the end"
echo "done: no key, no copy of a key, and no trace of the demo on this machine"
