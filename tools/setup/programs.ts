import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, isOnPath, note, run, SetupError, UNPACKED } from './process.ts'

/** Seconds to wait for another installation of Debian packages. */
const APT_LOCK_S = 300
/** Folder of Prometheus's web pages. */
const PROMETHEUS_PAGES = [
  'fonts-glyphicons-halflings',
  'libjs-bootstrap4',
  'libjs-d3',
  'libjs-eonasdan-bootstrap-datetimepicker',
  'libjs-jquery',
  'libjs-jquery-hotkeys',
  'libjs-moment',
  'libjs-moment-timezone',
  'libjs-mustache',
  'libjs-popper.js',
  'libjs-rickshaw',
]

/**
 * Installs the Debian package of a missing program if this is Debian and the user is root.
 * @throws SetupError that names the package to install otherwise
 */
export async function ensureProgram(program: string, debianPackage = program): Promise<void> {
  if (isOnPath(program)) return
  await installDebian(debianPackage)
  if (!isOnPath(program))
    throw new SetupError(
      `${program} is missing and could not be installed: install it (Debian package ${debianPackage}) and try again`,
    )
}

/**
 * Prometheus with promtool and amtool. Installing Debian's packages would start services and need root, so they are
 * unpacked into .tools/debian.
 * @throws SetupError if they are missing and this is not Debian, or the download fails
 */
export async function ensurePrometheus(): Promise<void> {
  if (['prometheus', 'promtool', 'amtool'].every(isOnPath)) return
  if (!isOnPath('apt-get') || !isOnPath('dpkg-deb'))
    throw new SetupError(
      'prometheus, promtool or amtool is missing: install Prometheus 2.42 or later and Alertmanager',
    )
  note('unpacking Prometheus into .tools/debian (Debian packages prometheus and prometheus-alertmanager)')
  const packages = ['prometheus', 'prometheus-alertmanager', ...PROMETHEUS_PAGES]
  const folder = join(CACHE, 'deb')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const quiet = { cwd: folder, quiet: true }
  const download = () => run('apt-get', ['download', '-q', ...packages], quiet)
  if ((await download()) !== 0) {
    await run('apt-get', ['update', '-q'], quiet)
    if ((await download()) !== 0)
      throw new SetupError(
        'the Debian packages of Prometheus could not be downloaded: run apt-get update and try again',
      )
  }
  for (const file of readdirSync(folder)) await run('dpkg-deb', ['-x', file, UNPACKED], quiet)
  rmSync(folder, { recursive: true, force: true })
}

/** @throws SetupError if the user is not root or this is not Debian */
export async function installDebian(debianPackage: string): Promise<void> {
  if (process.getuid?.() !== 0 || !isOnPath('apt-get'))
    throw new SetupError(
      `${debianPackage} is missing: install the package ${debianPackage} (on Debian: sudo apt-get install ${debianPackage})`,
    )
  note(`installing the Debian package ${debianPackage}`)
  const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, quiet: true }
  await run('apt-get', ['update', '-q'], options)
  // Another installation may be running: wait for it.
  const flags = ['-o', `DPkg::Lock::Timeout=${APT_LOCK_S}`, '-y', '-q', '--no-install-recommends']
  await run('apt-get', ['install', ...flags, debianPackage], options)
}
