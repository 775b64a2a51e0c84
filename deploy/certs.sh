#!/usr/bin/env bash
# Makes what cube 1 and cube 2 need to trust each other, with openssl alone:
#
#   deploy/certs.sh [--dir FOLDER] NAME-OR-ADDRESS…      of cube 1, as cube 2 or other clients call it
#
#   secrets/authority   the certificate authority and its key; keep it where this script runs, no service needs it
#   secrets/cube1       Redis's certificate, key and users; the emitter's login
#   secrets/cube2       the logins of cube 2; copy this folder, and nothing else, to cube 2
#
# Run again, it keeps authority and passwords and issues a new certificate for the names given (it lasts 825 days);
# then restart Redis. Remove secrets/ to begin anew. No secret is printed or put on a command line.
set -euo pipefail
umask 077

dir=$(cd "$(dirname "$0")" && pwd)/secrets
if [[ ${1:-} == --dir ]]; then dir=${2:?--dir needs a folder}; shift 2; fi
if [[ $# -eq 0 || $1 == -* ]]; then sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
command -v openssl >/dev/null || { echo 'openssl is missing: install it (Debian package openssl)' >&2; exit 1; }

# What Redis's user may do: as docs/brokers.md says.
readonly permissions='~nustream:* +@read +@write +@stream +@scripting +@connection +info +time'

alternatives=DNS:cube1,DNS:localhost,IP:127.0.0.1
for name in "$@"; do
  if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then alternatives+=,IP:$name
  elif [[ $name =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]]; then alternatives+=,DNS:$name
  else echo "\"$name\" is neither a host name nor an IP address" >&2; exit 2
  fi
done

mkdir -p "$dir"/authority "$dir"/cube1 "$dir"/cube2
chmod 700 "$dir" "$dir"/authority "$dir"/cube1 "$dir"/cube2

authority=$dir/authority
if [[ ! -f $authority/ca.key ]]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 3650 \
    -subj '/CN=nustream authority' -addext basicConstraints=critical,CA:TRUE,pathlen:0 \
    -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$authority/ca.key" -out "$authority/ca.crt" 2>/dev/null
fi

# put FILE: standard input becomes FILE in one step. Services run under ids of their own and must read these files;
# on this machine nobody else can, because the folder around them is closed.
put() { cat >"$1.new"; chmod 444 "$1.new"; mv -f "$1.new" "$1"; }

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -subj '/CN=cube1' \
  -keyout "$work/redis.key" -out "$work/redis.csr" 2>/dev/null
cat >"$work/extensions" <<EXTENSIONS
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $alternatives
EXTENSIONS
if ! openssl x509 -req -in "$work/redis.csr" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" -sha256 -days 825 \
  -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$work/redis.crt" 2>"$work/error"; then
  echo "no certificate could be made for $*:" >&2; cat "$work/error" >&2; exit 1
fi

if [[ ! -f $dir/cube1/broker.json ]]; then
  password=$(openssl rand -hex 32)
  printf '{ "brokerUser": "nustream", "brokerPassword": "%s" }\n' "$password" | put "$dir/cube1/broker.json"
  hash=$(printf %s "$password" | openssl dgst -sha256 -r)
  # Nobody can log in as the default user, but Redis before its fix of November 2025 replays its append-only file as that
  # user: without its permissions every batch, being a transaction, would be lost at a restart (redis/redis#14541).
  printf 'user default off resetpass ~* &* +@all\nuser nustream on #%s %s\n' "${hash%% *}" "$permissions" | put "$dir/cube1/redis.acl"
fi
[[ -f $dir/cube2/grafana.password ]] || openssl rand -hex 16 | put "$dir/cube2/grafana.password"

put "$dir/cube1/redis.key" <"$work/redis.key"
put "$dir/cube1/redis.crt" <"$work/redis.crt"
put "$dir/cube1/ca.crt" <"$authority/ca.crt"
put "$dir/cube2/ca.crt" <"$authority/ca.crt"
put "$dir/cube2/broker.json" <"$dir/cube1/broker.json"
echo "$dir: Redis answers to $alternatives; copy $dir/cube2 to cube 2"
