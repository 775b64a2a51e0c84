#!/bin/bash
# The image's health check: asks the part that is process 1 of this container for its own /health. Exit 0 is healthy.
# A command that serves no /health (evaluate, dead-letters …) is healthy as long as it runs.
# In bash, because a Node that starts every ten seconds in every container would cost more than some parts do.
mapfile -d '' -t words <"${1:-/proc/1/cmdline}"

# Where each role listens unless told otherwise; a test holds this to the roles' own defaults.
declare -A ports=([up]=8080 [display]=8080 [serve]=8500 [emit]=9101 [consume]=9102 [archive]=9103)
port='' role_port='' certificate=${NUSTREAM_TLS_CERT:-}
for at in "${!words[@]}"; do
  case ${words[at]} in
    --port) port=${words[at + 1]} ;;
    --port=*) port=${words[at]#*=} ;;
    --tls-cert | --tls-cert=*) certificate=given ;;
    *) ((at > 1)) && : "${role_port:=${ports[${words[at]}]}}" ;;
  esac
done
[[ -n $role_port ]] || exit 0
port=${port:-${NUSTREAM_PORT:-$role_port}}

if [[ -n $certificate ]]; then
  # The certificate names the server's public host; whom this asks is itself.
  exec node -e "require('node:https').get({ host: '127.0.0.1', port: $port, path: '/health', rejectUnauthorized: false },
    (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"
fi
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[[ $status == 200 ]]
