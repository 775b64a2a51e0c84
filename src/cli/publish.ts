import { access } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import {
  type AnyManifest,
  readAnyManifest,
  readMembers,
  resolveModelFolder,
} from '../inference/model/folder.ts'
import { verifyApart } from '../inference/model/verify-apart.ts'
import { publishModel } from '../mlflow/publish.ts'
import { switchFlag } from './command.ts'
import { openTracking, type TrackingConfig, trackingSettings } from './mlflow.ts'
import { verifySettings } from './registry-model.ts'
import { packageVersion } from './version.ts'

export const publishSettings = {
  ...trackingSettings,
  mlflow: trackingSettings.mlflow.describe('publish: MLflow tracking server whose registry stores the model'),
  name: z
    .string()
    .regex(/^[^/@:\s][^/@:]{0,199}$/, 'expected up to 200 characters without "/", "@" and ":"')
    .optional()
    .describe('publish: name of the registered model (default: the name in the manifest)')
    .meta({ value: 'name' }),
  alias: z
    .array(z.string().regex(/^[A-Za-z][\w-]{0,99}$/, 'expected a letter, then letters, digits, "_" and "-"'))
    .default([])
    .describe('publish: alias to set on the new version, such as champion')
    .meta({ value: 'alias', repeat: true }),
  experiment: z
    .string()
    .min(1)
    .default('nustream-models')
    .describe('publish: experiment of the run that holds the files')
    .meta({ value: 'name' }),
  ...verifySettings,
  force: switchFlag('publish: publish even a model that fails its own parity fixture'),
}

export interface PublishConfig extends TrackingConfig {
  readonly name?: string | undefined
  readonly alias: readonly string[]
  readonly experiment: string
  readonly force: boolean
  readonly verifyMs?: number | undefined
  readonly json: boolean
}

/** Verifies a model folder, uploads it and registers it. Returns the exit code. */
export async function publish(spec: string, config: PublishConfig): Promise<number> {
  const http = openTracking(config)
  const folder = resolveModelFolder(spec)
  const read = await readWhole(folder)
  const { manifest } = read
  if (!config.force) {
    const { problem } = await verifyApart(folder, { withinMs: config.verifyMs })
    if (problem)
      throw new UsageError('model_unreadable', `${problem.message} (${problem.code}); nothing was published`)
  }
  const name = config.name ?? manifest.name
  const { version } = await publishModel(http, {
    folder,
    manifest: read.kind === 'network' ? read.manifest : undefined,
    name,
    aliases: config.alias,
    experiment: config.experiment,
    description: manifest.description,
    facts: {
      'nustream.model': manifest.name,
      'nustream.model_version': manifest.version,
      'nustream.licence': manifest.licence,
      'nustream.origin': manifest.origin,
      'nustream.training_data': manifest.training.dataDigest ?? 'none',
      'nustream.published_by': packageVersion(),
    },
  })
  const aliases = config.alias.map((alias) => `models:/${name}@${alias}`)
  if (config.json) console.log(JSON.stringify({ name, version, aliases: config.alias }))
  else
    console.log(
      `published ${spec} as models:/${name}/${version}${aliases.map((spec) => `, ${spec}`).join('')}`,
    )
  return 0
}

/** @throws UsageError `model_missing` without a network, `model_manifest_invalid` if a member would not be uploaded */
async function readWhole(folder: string): Promise<AnyManifest> {
  const read = await readAnyManifest(folder)
  if (read.kind === 'network') {
    await access(join(folder, 'model.onnx')).catch((cause: unknown) => {
      throw new UsageError('model_missing', `${folder}/model.onnx cannot be read; nothing was published`, {
        cause,
      })
    })
    return read
  }
  for (const member of await readMembers(folder, read.manifest)) {
    const path = relative(folder, member.folder)
    if (path === '..' || path.startsWith('../') || isAbsolute(path))
      throw new UsageError(
        'model_manifest_invalid',
        `member ${path} of ${folder} lies outside the folder and would not be uploaded; move it inside and list it in members`,
      )
  }
  return read
}
