// The image's health check: asks the part that is process 1 of this container for its own /health. Exit 0 is healthy.
// A command that serves no /health (evaluate, dead-letters …) is healthy as long as it runs.
import { readFileSync } from 'node:fs'
import { get as getOverHttp } from 'node:http'
import { get as getOverHttps } from 'node:https'

/** Where each role listens unless told otherwise; a test holds it to the roles' own defaults. */
const PORTS = { up: 8080, display: 8080, serve: 8500, emit: 9101, consume: 9102, archive: 9103 }
const WITHIN_MS = 4_000

const [, , ...words] = readFileSync(process.argv[2] ?? '/proc/1/cmdline', 'utf8').split('\0').filter(Boolean)
const role = words.find((word) => Object.hasOwn(PORTS, word))
if (role === undefined) process.exit(0)

const port = setting('port') ?? PORTS[role]
const isTls = setting('tls-cert') !== undefined
const get = isTls ? getOverHttps : getOverHttp
// The certificate names the server's public host; whom this asks is itself.
const request = get({ host: '127.0.0.1', port, path: '/health', rejectUnauthorized: false }, (response) => {
  response.resume()
  process.exit(response.statusCode === 200 ? 0 : 1)
})
request.setTimeout(WITHIN_MS, () => request.destroy())
request.on('error', () => process.exit(1))

/** A setting as the role itself finds it: on its command line, else in the environment. */
function setting(name) {
  const at = words.indexOf(`--${name}`)
  if (at >= 0) return words[at + 1]
  const joined = words.find((word) => word.startsWith(`--${name}=`))
  return joined?.slice(name.length + 3) ?? process.env[`NUSTREAM_${name.replaceAll('-', '_').toUpperCase()}`]
}
