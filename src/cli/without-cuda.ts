import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** What onnxruntime-node's install script goes by: files that it fetches for a platform where they are not there. */
interface InstallMetadata {
  readonly requirements: Readonly<Record<string, readonly string[] | undefined>>
  readonly manifests: Readonly<Record<string, object | undefined>>
}

/**
 * Run by npm before the install scripts of an installed package's dependencies. On Linux, ONNX Runtime's would fetch
 * some hundred MB of CUDA libraries from nuget.org, and fail where that cannot be reached; nustream runs on the CPU.
 * Empty files in their place make it believe that they are there. Whoever sets ONNXRUNTIME_NODE_INSTALL is obeyed.
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
