import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MlflowHttp } from '../../src/mlflow/http.ts'
import { setAlias } from '../../src/mlflow/registry.ts'
import { startNustream } from '../../test/support/nustream.ts'
import { type MlflowServer, startMlflowServer } from '../mlflow/server.ts'
import type { Cause } from './run.ts'
import { PREDICTED, QUIET_EMITTER, type Stage } from './stage.ts'

/** A small network with random weights. */
const MODEL = fileURLToPath(new URL('../../test/fixtures/models/raw-mask', import.meta.url))
const NAME = 'direction'
const ALIAS = 'champion'

/** A real MLflow with `MODEL` as version 1 under the alias. */
async function openRegistry(stage: Stage): Promise<MlflowServer> {
  const dir = join(stage.folder, 'mlflow')
  mkdirSync(dir)
  const server = await startMlflowServer({ dir })
  stage.owner.onTestFinished(async () => server[Symbol.asyncDispose]())
  await publish(stage, server, MODEL, '--alias', ALIAS)
  return server
}

async function publish(stage: Stage, { url }: MlflowServer, folder: string, ...flags: string[]) {
  const words = ['models', 'publish', folder, '--name', NAME, '--mlflow', url, ...flags]
  const publishing = startNustream(words, stage.owner)
  if ((await publishing.ended) !== 0) throw new Error(`not published: ${publishing.stderr()}`)
}

/** Starts a stream whose consumer takes its model from the registry. */
async function consumeFrom({ url }: MlflowServer, stage: Stage, ...flags: string[]): Promise<void> {
  const cache = ['--model-cache', join(stage.folder, 'models')]
  const follow = ['--model', `models:/${NAME}@${ALIAS}`, '--mlflow', url, '--model-poll-ms', '1000']
  stage.start('consumer', ...follow, ...cache, '--threads', '1', ...flags)
  stage.start('emitter', ...QUIET_EMITTER)
  await stage.flows(PREDICTED)
}

/** A copy of the model whose parity fixture has other answers than its network. */
function modelWithOtherAnswers(stage: Stage): string {
  const folder = join(stage.folder, 'other-answers')
  cpSync(MODEL, folder, { recursive: true })
  const file = join(folder, 'parity.json')
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/"azimuth": ?[\d.]+/g, '"azimuth": 0.5'))
  return folder
}

/** Faults of MLflow and of the models in its registry. They need MLflow, which is installed where it is missing. */
export const mlflow: readonly Cause[] = [
  {
    name: 'mlflow-killed',
    what: 'MLflow is killed',
    alerts: [
      'NustreamMlflowAway',
      'NustreamModelRegistryAway',
      'NustreamMlflowBufferFull',
      'NustreamMlflowDropping',
    ],
    async open(stage) {
      const server = await openRegistry(stage)
      // The smallest buffer and the shortest interval: the buffer is full after half a minute.
      const often = ['--mlflow-interval-ms', '200', '--mlflow-buffer-points', '1000']
      await consumeFrom(server, stage, ...often)
      await stage.flows('nustream_mlflow_sent_points_total')
      return { make: () => server.kill(), mend: () => server.restart() }
    },
  },
  {
    name: 'model-refused',
    what: 'the alias moves to a version that does not give the answers of its parity fixture',
    alerts: ['NustreamModelRefused'],
    async open(stage) {
      const server = await openRegistry(stage)
      await consumeFrom(server, stage)
      await publish(stage, server, modelWithOtherAnswers(stage), '--force')
      const http = new MlflowHttp(server.url, { timeoutMs: 60_000 })
      const moveTo = (version: string) => setAlias(http, { name: NAME, alias: ALIAS, version })
      return { make: () => moveTo('2'), mend: () => moveTo('1') }
    },
  },
]
