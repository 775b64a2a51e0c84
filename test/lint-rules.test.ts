import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'

/** What each file may import, and what lint must refuse. */
const CASES: Readonly<Record<string, { allowed: readonly string[]; refused: readonly string[] }>> = {
  'src/api.ts': {
    allowed: ['./inference/open.ts', './source/open.ts'],
    refused: ['redis', 'fastify', 'commander'],
  },
  'src/archive/x.ts': {
    allowed: ['../async/x.ts', '../broker/contract.ts', '../formats/parquet/write.ts', '../telemetry/log.ts'],
    refused: [
      '../broker/open.ts',
      '../broker/redis/broker.ts',
      '../consumer/x.ts',
      '../emitter/x.ts',
      '@duckdb/node-api',
    ],
  },
  'src/async/x.ts': { allowed: ['node:timers/promises'], refused: ['../broker/contract.ts', 'redis'] },
  'src/broker/x.ts': {
    allowed: ['../async/x.ts', '../errors.ts', './redis/broker.ts'],
    refused: ['redis', 'node:sqlite', '../telemetry/log.ts', '../consumer/x.ts', '../inference/inferrer.ts'],
  },
  'src/broker/redis/x.ts': {
    allowed: ['redis', '../contract.ts', '../../async/x.ts', '../../errors.ts'],
    refused: ['node:sqlite', '../sqlite/file.ts', '../../telemetry/log.ts'],
  },
  'src/broker/sqlite/x.ts': {
    allowed: ['node:sqlite', '../contract.ts'],
    refused: ['redis', '../redis/link.ts', '../../emitter/x.ts'],
  },
  'src/cli/x.ts': {
    allowed: ['commander', '../broker/open.ts', '../consumer/consume.ts', '../inference/open.ts'],
    refused: ['redis', 'fastify', 'onnxruntime-node', '../../tools/x.ts', '../../test/support/until.ts'],
  },
  'src/consumer/x.ts': {
    allowed: ['../broker/contract.ts', '../inference/inferrer.ts', '../drift/window.ts'],
    refused: ['../broker/open.ts', '../inference/open.ts', '../archive/x.ts', '../mlflow/x.ts', 'redis'],
  },
  'src/display/x.ts': {
    allowed: ['fastify', '../broker/contract.ts', '../inference/linefit/linefit.ts'],
    refused: ['../server/x.ts', '../broker/sqlite/file.ts', '../inference/open.ts', 'redis'],
  },
  'src/drift/x.ts': {
    allowed: ['../event/x.ts', '../errors.ts'],
    refused: ['node:fs', '../inference/inferrer.ts'],
  },
  'src/emitter/x.ts': {
    allowed: ['../broker/contract.ts', '../source/source.ts'],
    refused: ['../source/open.ts', '../broker/open.ts', '../consumer/x.ts', '../cli/x.ts'],
  },
  'src/evaluation/x.ts': {
    allowed: ['../inference/inferrer.ts', '../plots/chart.ts'],
    refused: ['../broker/contract.ts', '../cli/x.ts'],
  },
  'src/event/x.ts': {
    allowed: ['./arrow.ts', '../errors.ts'],
    refused: ['apache-arrow', 'node:fs', 'pino', '../simulator/x.ts'],
  },
  'src/event/arrow-write.ts': { allowed: ['apache-arrow'], refused: ['node:fs', '../source/x.ts'] },
  'src/formats/x/y.ts': {
    allowed: ['../../event/x.ts'],
    refused: ['@duckdb/node-api', '../../source/source.ts'],
  },
  'src/formats/parquet/x.ts': {
    allowed: ['@duckdb/node-api', '../../event/x.ts', '../../errors.ts'],
    refused: ['apache-arrow', '../../source/source.ts'],
  },
  'src/inference/x.ts': {
    allowed: ['../event/x.ts', './model/folder.ts'],
    refused: ['onnxruntime-node', '../server/x.ts', '../broker/contract.ts'],
  },
  'src/inference/network/x.ts': {
    allowed: ['onnxruntime-node', '../tensors/tensor.ts', '../../event/x.ts'],
    refused: ['fastify', '../../consumer/x.ts'],
  },
  'src/inference/release/x.ts': {
    allowed: ['../network/local.ts', '../../telemetry/log.ts'],
    refused: ['onnxruntime-node', '../../mlflow/http.ts'],
  },
  'src/mlflow/x.ts': {
    allowed: ['../inference/inferrer.ts', '../plots/chart.ts'],
    refused: ['../consumer/x.ts', '../broker/contract.ts'],
  },
  'src/plots/x.ts': {
    allowed: ['./chart.ts'],
    refused: ['node:fs', '../event/x.ts', '../evaluation/x.ts', 'pino'],
  },
  'src/server/x.ts': {
    allowed: ['fastify', '@fastify/swagger', '../inference/inferrer.ts'],
    refused: [
      'redis',
      'node:sqlite',
      '@opentelemetry/api',
      '../broker/contract.ts',
      '../display/x.ts',
      '../../tools/x.ts',
    ],
  },
  'src/simulator/x.ts': {
    allowed: ['../event/x.ts'],
    refused: ['node:fs', '../source/source.ts', '../../tools/compare/comparison.ts'],
  },
  'src/sky/x.ts': { allowed: ['../event/x.ts'], refused: ['node:fs', '../display/x.ts'] },
  'src/source/x.ts': {
    allowed: ['../formats/parquet/read.ts', '../simulator/x.ts'],
    refused: ['@duckdb/node-api', '../emitter/x.ts', '../broker/contract.ts'],
  },
  'src/telemetry/x.ts': {
    allowed: ['prom-client', '../broker/contract.ts'],
    refused: ['@opentelemetry/api', '../broker/open.ts', '../server/x.ts'],
  },
  'src/telemetry/tracing-otlp.ts': { allowed: ['@opentelemetry/api'], refused: ['redis', '../server/x.ts'] },
  'web/src/x.ts': {
    allowed: ['three', '../../src/event/x.ts', '../../src/sky/x.ts', '../../src/display/messages.ts'],
    refused: ['node:fs', 'fastify', '../../src/display/watch.ts', '../../src/server/x.ts'],
  },
  'web/src/draw/x.ts': {
    allowed: ['../../../src/event/x.ts'],
    refused: ['../../../src/display/watch.ts'],
  },
}

/** Every import of CASES in a file of its own line, linted by the rules of this repository. Gives the refused imports. */
function lint(): ReadonlySet<string> {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-lint-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  copyFileSync('biome.json', join(folder, 'biome.json'))
  for (const [path, { allowed, refused }] of Object.entries(CASES)) {
    mkdirSync(join(folder, dirname(path)), { recursive: true })
    writeFileSync(join(folder, path), [...allowed, ...refused].map((name) => `import '${name}'\n`).join(''))
  }
  const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome')
  const flags = ['lint', '--only=style/noRestrictedImports', '--reporter=json', '--max-diagnostics=none', '.']
  let printed = ''
  try {
    printed = execFileSync(process.execPath, [biome, ...flags], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch (error) {
    // Lint that finds something ends with 1.
    printed = (error as { stdout: string }).stdout
  }
  const { diagnostics } = JSON.parse(printed) as {
    diagnostics: { location: { path: string; start: { line: number } } }[]
  }
  return new Set(
    diagnostics.map(({ location: { path, start } }) => {
      const { allowed, refused } = CASES[path]
      return `${path} imports ${[...allowed, ...refused][start.line - 1]}`
    }),
  )
}

describe('the import rules of biome.json', () => {
  const found = lint()

  it('are tried for every folder of src', () => {
    const folders = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const tried = new Set(Object.keys(CASES).map((path) => path.split('/')[1]))
    expect(folders.map(({ name }) => name).filter((name) => !tried.has(name))).toEqual([])
  })

  const cases = (kind: 'allowed' | 'refused') =>
    Object.entries(CASES).flatMap(([path, names]) => names[kind].map((name) => `${path} imports ${name}`))

  it.each(cases('refused'))('refuse that %s', (line) => expect(found).toContain(line))
  it.each(cases('allowed'))('allow that %s', (line) => expect(found).not.toContain(line))
})
