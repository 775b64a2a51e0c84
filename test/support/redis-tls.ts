import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Owner } from './redis.ts'

/** PEM files of a certificate and its key. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A private authority and certificates that it has signed for 127.0.0.1 and localhost. */
export interface Authority {
  /** PEM file of the authority's certificate. */
  readonly ca: string
  sign(name: string): Certificate
}

/** Creates an authority in a folder that is removed after the test. */
export function makeAuthority(owner: Owner): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-tls-'))
  owner.onTestFinished(async () => rmSync(folder, { recursive: true, force: true }))
  const file = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const newKey = (name: string) => ['-newkey', 'rsa:2048', '-nodes', '-keyout', file(`${name}.key`)]
  openssl('req', '-x509', ...newKey('ca'), '-days', '2', '-subj', '/CN=ca', '-out', file('ca.pem'))
  writeFileSync(file('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  return {
    ca: file('ca.pem'),
    sign(name) {
      const [request, cert] = [file(`${name}.csr`), file(`${name}.pem`)]
      openssl('req', ...newKey(name), '-subj', `/CN=${name}`, '-out', request)
      const by = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('ext')]
      openssl('x509', '-req', '-in', request, ...by, '-days', '2', '-out', cert)
      return { cert, key: file(`${name}.key`) }
    },
  }
}

/** Arguments of redis-server for a certificate; with `ca`, it requires client certificates. */
export function tlsArguments({ cert, key }: Certificate, ca?: string): string[] {
  const asks = ca === undefined ? ['--tls-auth-clients', 'no'] : ['--tls-ca-cert-file', ca]
  return ['--tls-cert-file', cert, '--tls-key-file', key, ...asks]
}
