import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Cost of reading a source in a new process. Memory is the peak of the whole process, MB of 2^20 bytes. */
export interface Reading {
  readonly events: number
  readonly pulses: number
  readonly rejected: number
  /** Pulses of the largest event. */
  readonly largest: number
  readonly seconds: number
  /** Time from the process's first line to the first events. */
  readonly firstMs: number
  readonly cpuSeconds: number
  readonly peakMb: number
}

const SCRIPT = fileURLToPath(new URL('./read-source-process.ts', import.meta.url))

export async function readInProcess(spec: string, resume?: string): Promise<Reading> {
  const args = ['--disable-warning=ExperimentalWarning', SCRIPT, spec, ...(resume ? [resume] : [])]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout)
}
