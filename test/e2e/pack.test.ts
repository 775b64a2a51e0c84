import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'

const run = promisify(execFile)

/** npm on the Node that runs the tests, whatever Node the machine has. */
function npm(args: readonly string[], cwd: string) {
  const { ONNXRUNTIME_NODE_INSTALL: _, ...inherited } = process.env
  const env = {
    ...inherited,
    PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
    NODE_OPTIONS: '',
  }
  const cli = process.env['npm_execpath']
  const [command, first] = cli ? [process.execPath, [cli]] : ['npm', []]
  return run(command, [...first, ...args], { cwd, env, maxBuffer: 2 ** 24 })
}

describe('the package that npm pack makes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-pack-'))

  beforeAll(async () => {
    await npm(['pack', '--pack-destination', folder], process.cwd())
    const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz')) ?? ''
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    await npm(['install', '--no-audit', '--no-fund', `./${tarball}`], folder)
    return () => rmSync(folder, { recursive: true, force: true })
  }, 600_000)

  it('runs the stream where it is installed', async () => {
    const args = [
      join(folder, 'node_modules/nustream/dist/cli/main.js'),
      'up',
      '--events',
      '300',
      '--port',
      '0',
      '--json',
    ]
    const { stdout } = await run(process.execPath, args, { cwd: folder })
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ emitted: 300, predicted: 300 })
  })

  it('is installed without the CUDA libraries that ONNX Runtime would fetch', () => {
    const runtime = join(folder, 'node_modules/onnxruntime-node/bin')
    const names = readdirSync(runtime, { recursive: true }).map(String)
    const fetched = names.filter((name) => name.includes('providers'))
    expect(fetched.map((name) => statSync(join(runtime, name)).size)).toEqual(fetched.map(() => 0))
  })

  it('carries the scripts of Redis, which load where it is installed', async () => {
    const scripts = join(folder, 'node_modules/nustream/dist/broker/redis/scripts.js')
    const list = `import { SCRIPTS } from ${JSON.stringify(scripts)}; console.log(SCRIPTS.publish.lua.length)`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', list], { cwd: folder })
    expect(Number(stdout)).toBeGreaterThan(1_000)
  })

  it('carries the page', () => {
    const page = readFileSync(join(folder, 'node_modules/nustream/web/dist/index.html'), 'utf8')
    const [, script] = /<script[^>]+src="\.\/([^"]+)"/.exec(page) ?? []
    expect(existsSync(join(folder, 'node_modules/nustream/web/dist', script))).toBe(true)
  })

  it('is a library with declarations', async () => {
    writeFileSync(
      join(folder, 'library.mjs'),
      `import { decodeEventBatch, encodeEventBatch, openLocalModel, openSource } from 'nustream'
       const source = await openSource('sim:3')
       const signal = new AbortController().signal
       for await (const { events } of source.read({ eventsMax: 20, signal })) {
         const model = await openLocalModel('linefit', { threads: 1 })
         const { azimuth } = await model.infer(decodeEventBatch(encodeEventBatch(events)))
         console.log(azimuth.length, azimuth.every(Number.isFinite))
         await model[Symbol.asyncDispose]()
         break
       }`,
    )
    const { stdout } = await run(process.execPath, ['library.mjs'], { cwd: folder })
    expect(stdout.trim()).toBe('20 true')
    const files = readdirSync(join(folder, 'node_modules/nustream/dist'))
    expect(files).toEqual(expect.arrayContaining(['api.js', 'api.d.ts']))
  })

  it('carries no tests and no sources of the clone', () => {
    const files = readdirSync(join(folder, 'node_modules/nustream'), { recursive: true }).map(String)
    expect(files.filter((file) => /\.test\.|^src\/|^test\/|^training\//.test(file))).toEqual([])
  })
})
