import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { inspectFile } from '../../src/source/inspect.ts'
import { frameBytes, headerBlob, makeI3File, particleBlob } from '../support/i3-file.ts'
import { startNustream } from '../support/nustream.ts'
import { eventRows, rowsSql, writeQuery } from '../support/pulse-files.ts'
import { sharedData } from '../support/shared-data.ts'

function folderOf(t: TestContext, files: Readonly<Record<string, Uint8Array | string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-inspect-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)
  return folder
}

async function inspect(t: TestContext, args: readonly string[]) {
  const child = startNustream(['inspect', ...args], t)
  const code = await child.ended
  return { code, stdout: child.stdout(), stderr: child.stderr() }
}

describe('nustream inspect', () => {
  it('shows an I3 file, compressed or not, whatever its name is', async (t) => {
    const folder = folderOf(t, { plain: makeI3File(3), 'a.json': makeI3File(3, { compressed: true }) })
    for (const name of ['plain', 'a.json']) {
      const { code, stdout } = await inspect(t, [join(folder, name)])
      expect(code).toBe(0)
      expect(stdout).toMatch(new RegExp(`^${name}: I3 file, \\d+ bytes\n`))
      expect(stdout).toMatch(/^frames +I 1, Q 3, P 3$/m)
      expect(stdout).toMatch(/^UTC +2026-01-01T00:00:01\.000006000Z to 2026-01-01T00:00:03\.000016000Z$/m)
      expect(stdout).toMatch(/^detector +IceCube-86$/m)
      expect(stdout).toMatch(/^truth +I3MCTree 3$/m)
      expect(stdout).toMatch(/^reference +none$/m)
      expect(stdout).toMatch(/^SplitInIcePulses +3 +66 +22 +0 +0 +0 +3$/m)
    }
  })

  it('prints one JSON object with --json, and looks at no more frames than --events', async (t) => {
    const file = join(folderOf(t, { a: makeI3File(3) }), 'a')
    const { code, stdout } = await inspect(t, [file, '--events', '2', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'i3',
      file,
      isCut: true,
      survey: { events: 2, utc: { from: '2026-01-01T00:00:01.000006000Z' } },
    })
  })

  it('shows what comes before a fault, names it, and fails', async (t) => {
    const whole = makeI3File(2)
    const file = join(folderOf(t, { a: whole.subarray(0, whole.length - 5) }), 'a')
    const { code, stdout } = await inspect(t, [file])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^frames +I 1, Q 2, P 1$/m)
    expect(stdout).toMatch(/The file is damaged after these frames: the file ends within the frame/)
  })

  it('prints no control characters of names', async (t) => {
    const frame = frameBytes('P', {
      I3EventHeader: headerBlob({ event: 1, subEventStream: '\x1b[31mred\x07' }),
      'Fit\x1b]0;title\x07': particleBlob({ zenith: 1, azimuth: 2 }),
    })
    const { stdout } = await inspect(t, [join(folderOf(t, { a: frame }), 'a')])
    expect(stdout).toContain('red')
    expect([...stdout].filter((letter) => letter < ' ' && letter !== '\n')).toEqual([])
  })

  it.each([
    ['an empty file', '', /the file is empty/],
    ['text', 'event_id,time\n', /the file is of an unknown form; what is read are I3 files/],
    ['a database', 'SQLite format 3\0', /is an SQLite database/],
    ['JSON of another kind', '{"features": []}', /value is missing/],
    ['gzip of something else', Buffer.from('1f8b0800000000000003', 'hex'), /cut off or damaged/],
    ['an I3 file that is cut within its first frame', makeI3File(1).subarray(0, 9), /ends within the frame/],
    ['Parquet without an end', 'PAR1____________', /not readable as Parquet/],
  ])('refuses %s with one sentence that names it', async (_, bytes, message) => {
    const folder = mkdtempSync(join(tmpdir(), 'nustream-inspect-'))
    try {
      const file = join(folder, 'a')
      writeFileSync(file, bytes)
      const outcome = inspectFile(file)
      await expect(outcome).rejects.toThrow(message)
      await expect(outcome).rejects.toMatchObject({
        code: 'source_unreadable',
        message: expect.stringContaining(file),
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('refuses a folder and a file that is not there with exit code 1', async (t) => {
    const folder = folderOf(t)
    expect(await inspect(t, [folder])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is a folder/),
    })
    const missing = await inspect(t, [join(folder, 'none')])
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringMatching(/none: no such file/) })
  })

  it('counts events, rows and columns of a pulse file, and explains why another file is not one', async (t) => {
    const folder = folderOf(t)
    await writeQuery(
      join(folder, 'pulses'),
      rowsSql([...eventRows(1, 4), ...eventRows(2, 3), ...eventRows(9, 2)]),
    )
    await writeQuery(join(folder, 'other'), 'SELECT 1 AS batch_id, 2.5 AS zenith')
    const pulses = await inspectFile(join(folder, 'pulses'))
    expect(pulses).toMatchObject({
      kind: 'parquet',
      survey: { rows: 9, pulses: { events: 3, sample: { pulses: 9 } }, noPulsesReason: undefined },
    })
    const { code, stdout } = await inspect(t, [join(folder, 'other')])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^rows +1 in 1 row groups$/m)
    expect(stdout).toMatch(/^no pulse file +column event_id is missing$/m)
    expect(stdout).toMatch(/^batch_id +INTEGER$/m)
  })
})

const alerts = sharedData('icecube-alerts')
const graphnet = sharedData('graphnet')

describe.skipIf(alerts === undefined)('nustream inspect, messages of real events', () => {
  it('shows streams and fits of the message apart from what its frames hold', async (t) => {
    const { code, stdout } = await inspect(t, [join(alerts ?? '', '138632_31747601.json')])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^frames +Q 1, P 1; not read: G, C, D$/m)
    expect(stdout).toMatch(/^run +138632$/m)
    expect(stdout).toMatch(/^event +31747601$/m)
    expect(stdout).toMatch(/^UTC +2023-12-02T17:08:24\.093230219Z to 2023-12-02T17:08:24\.093245922Z$/m)
    expect(stdout).toMatch(/^truth +none$/m)
    expect(stdout).toMatch(/^reference +l2_online_SplineMPE 1$/m)
    expect(stdout).toMatch(/^streams +neutrino$/m)
    expect(stdout).toMatch(/^fit splinempe +zenith 1\.5716, azimuth 4\.8769 rad/m)
    expect(stdout).toMatch(/^SplitInIcePulses +1 +948 +948 +0 +0 +0 +1$/m)
  })

  it('reads pickled messages', async () => {
    const contents = await inspectFile(join(alerts ?? '', 'run00136766-evt000007637140-GOLD.pkl'))
    expect(contents).toMatchObject({
      kind: 'alert',
      survey: { events: 1, runs: { from: 136_766, to: 136_766 } },
    })
  })
})

describe.skipIf(graphnet === undefined)('nustream inspect, official simulations', () => {
  it('names the channels of the Upgrade, which IceCube-86 does not have', async () => {
    const contents = await inspectFile(join(graphnet ?? '', 'upgrade_genie_step4_first_5_frames.i3.gz'))
    expect(contents).toMatchObject({
      kind: 'i3',
      isCut: false,
      survey: {
        events: 5,
        truth: [{ name: 'I3MCTree', count: 5 }],
        otherChannels: { count: 490, strings: { from: 87, to: 93 }, events: 5 },
      },
    })
  })

  it('finds the truth and all series of a file of the final selection', async () => {
    const contents = await inspectFile(join(graphnet ?? '', 'oscNext_genie_level7_v02_first_5_frames.i3.gz'))
    if (contents.kind !== 'i3') throw new Error(contents.kind)
    const { truth, series, otherChannels } = contents.survey
    expect(truth).toEqual([{ name: 'MCInIcePrimary', count: 5 }])
    expect(otherChannels.count).toBe(0)
    expect(series).toHaveLength(25)
    expect(series.find(({ name }) => name === 'SRTInIcePulses')).toMatchObject({ frames: 5, pulses: 56 })
  })
})
