import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openHttpInferrer } from '../../src/inference/remote/http.ts'
import { makeEvents } from '../support/plain-events.ts'
import { startServer } from '../support/start-server.ts'

it('speaks HTTPS with a key and a certificate, to clients that trust it and to no others', async (test) => {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-tls-'))
  test.onTestFinished(() => rmSync(folder, { recursive: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert]
  const names = ['-subj', '/CN=nustream test', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  execFileSync('openssl', [...made, ...names], { stdio: 'pipe' })
  const tls = { key: readFileSync(key), cert: readFileSync(cert) }
  const { url } = await startServer(test, { tls, tokens: ['secret'] })
  expect(url).toMatch(/^https:/)

  const trusting = await openHttpInferrer(url, { token: 'secret', ca: tls.cert })
  test.onTestFinished(async () => void (await trusting[Symbol.asyncDispose]()))
  expect((await trusting.infer(makeEvents(3))).faults).toEqual([])
  await expect(openHttpInferrer(url, { token: 'secret' })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
  })
})
