import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** The part of onnxruntime-node's install metadata that we read: files that its script downloads if they are missing. */
interface InstallMetadata {
  readonly requirements: Readonly<Record<string, readonly string[] | undefined>>
  readonly manifests: Readonly<Record<string, object | undefined>>
}

/**
 * npm runs this before the install scripts of the dependencies. On Linux, ONNX Runtime's script would download several
 * hundred MB of CUDA libraries from nuget.org, and fail if nuget.org is unreachable; nustream runs on the CPU.
 * Empty files in their place make the script skip the download. Set ONNXRUNTIME_NODE_INSTALL to download them.
 */
function standInForCuda(): void {
  if (process.env['ONNXRUNTIME_NODE_INSTALL'] !== undefined) return
  const require = createRequire(import.meta.url)
  const home = dirname(require.resolve('onnxruntime-node/package.json'))
  const { requirements, manifests }: InstallMetadata = require(join(home, 'script/install-metadata.js'))
  const platform = `${process.platform}/${process.arch}`
  for (const name of requirements[platform] ?? []) {
    for (const file of Object.keys(manifests[`${platform}:${name}`] ?? {})) {
      const path = join(home, 'bin/napi-v6', platform, file)
      if (!existsSync(path)) writeFileSync(path, '')
    }
  }
}

standInForCuda()
