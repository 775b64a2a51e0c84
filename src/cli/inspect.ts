import { basename } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import type { Command } from 'commander'
import { z } from 'zod'
import { renderTable } from '../evaluation/table.ts'
import type { Count, FrameSurvey, Range, SeriesSurvey } from '../formats/i3/survey.ts'
import type { ParquetSurvey } from '../formats/parquet/survey.ts'
import { type AlertContents, type FileContents, inspectFile } from '../source/inspect.ts'
import { cutText } from '../telemetry/foreign-text.ts'
import { addCommand } from './command.ts'
import { jsonSetting } from './settings.ts'

/** Characters of a column's type that are shown; that of a nested one names all of its fields. */
const TYPE_MAX = 60

export function add(program: Command): void {
  addCommand(program, {
    name: 'inspect',
    summary: 'show what a file of a telescope holds before it is streamed',
    description:
      'Shows what a file holds: for an I3 file or an event message of IceCube frames, pulse series, splitters, events, time, truth, fits and detector; for a Parquet file columns, rows and events. The form is known by the bytes that the file begins with. Exit code 1 for a file that is damaged or of another form.',
    examples: [
      'nustream inspect Level2_run00138632.i3.zst',
      'nustream inspect Level2_run00138632.i3.zst --events 1000',
      'nustream inspect event.json --json',
      'nustream inspect train/batch_1.parquet',
    ],
    arguments: [{ spec: '<file>', description: 'an I3 file, an event message or a Parquet file' }],
    shape: {
      events: z.coerce
        .number()
        .int()
        .min(1)
        .optional()
        .describe('look at so many physics frames of an I3 file (default: all)')
        .meta({ value: 'number' }),
      ...jsonSetting,
    },
    run: async ({ events, json }, [file]) => {
      const contents = await inspectFile(file, events)
      console.log(json ? JSON.stringify(toJson(contents)) : toPrintable(render(contents)))
      return 'fault' in contents && contents.fault !== undefined ? 1 : 0
    },
  })
}

/** BigInt nanoseconds as text; JSON has no such numbers. */
function toJson(contents: FileContents): object {
  if (contents.kind === 'parquet') return contents
  const { utcNs, ...survey } = contents.survey
  return { ...contents, survey: { ...survey, utc: utcNs && toUtc(utcNs) } }
}

/** Names in a file are anybody's; a terminal must not obey them. */
function toPrintable(text: string): string {
  const plain = stripVTControlCharacters(text)
  return Array.from(plain, (letter) => (isControl(letter.charCodeAt(0)) ? '?' : letter)).join('')
}

const LINE_FEED = 10

function isControl(code: number): boolean {
  return code !== LINE_FEED && (code < 32 || (code >= 127 && code < 160))
}

function render(contents: FileContents): string {
  const parts = contents.kind === 'parquet' ? renderParquet(contents.survey) : renderFrames(contents)
  return [`${basename(contents.file)}: ${describe(contents)}, ${contents.bytes} bytes`, ...parts].join('\n\n')
}

function describe({ kind }: FileContents): string {
  return { i3: 'I3 file', alert: 'event message of IceCube', parquet: 'Parquet file' }[kind]
}

type Fact = readonly [name: string, value: string]

function renderFacts(facts: readonly Fact[]): string {
  const width = Math.max(...facts.map(([name]) => name.length))
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}

function renderFrames(contents: Exclude<FileContents, { kind: 'parquet' }>): string[] {
  const { survey } = contents
  const facts: Fact[] = [
    ['frames', contents.kind === 'alert' ? renderLetters(contents) : renderCounts(survey.frames)],
    ['events', renderEvents(survey)],
    [
      'splitters',
      renderCounts(survey.splitters.map(({ name, count }) => ({ name: name || '(none)', count }))),
    ],
    ['sub-events', `at most ${survey.mostSubEvents} of a DAQ frame`],
    ['run', renderRange(survey.runs)],
    ['event', renderRange(survey.eventNumbers)],
    ['UTC', survey.utcNs ? renderRange(toUtc(survey.utcNs)) : '–'],
    ['detector', renderDetector(survey)],
    ['truth', renderCounts(survey.truth)],
    ['reference', renderCounts(survey.reference)],
  ]
  const parts = [renderFacts(facts)]
  if (contents.kind === 'alert') parts.push(renderFacts(factsOfMessage(contents)))
  if (survey.series.length > 0) parts.push(renderSeries(survey.series))
  if (survey.fits.length > 0)
    parts.push(
      renderTable([['fit', 'frames'], ...survey.fits.map(({ name, count }) => [name, String(count)])]),
    )
  if (survey.broken.count > 0)
    parts.push([`${survey.broken.count} events cannot be read:`, ...survey.broken.reasons].join('\n  '))
  if (contents.kind === 'i3' && contents.isCut)
    parts.push(`The first ${physicsFramesOf(survey)} physics frames are counted; the file has more.`)
  if (contents.kind === 'i3' && contents.fault !== undefined)
    parts.push(`The file is damaged after these frames: ${contents.fault}`)
  return parts
}

function physicsFramesOf({ events, leftOut, broken }: FrameSurvey): number {
  return events + leftOut + broken.count
}

function renderLetters({ message, survey }: AlertContents): string {
  const notRead = message.letters.filter((letter) => !survey.frames.some(({ name }) => name === letter))
  const more = notRead.length > 0 ? `; not read: ${notRead.join(', ')}` : ''
  return `${renderCounts(survey.frames)}${more}`
}

function renderEvents({ events, leftOut, broken }: FrameSurvey): string {
  const parts = [String(events)]
  if (leftOut > 0) parts.push(`${leftOut} physics frames left out, which repeat an event`)
  if (broken.count > 0) parts.push(`${broken.count} that cannot be read`)
  return parts.join('; ')
}

function renderDetector({ events, otherChannels }: FrameSurvey): string {
  const { count, isCut, examples, strings, events: refused } = otherChannels
  if (count === 0 || strings === undefined) return 'IceCube-86'
  const which = `${isCut ? 'at least ' : ''}${count} channels outside IceCube-86`
  const keys = `on strings ${renderRange(strings)}, such as ${examples.join(', ')} (string, module, photomultiplier)`
  return `${which} ${keys}; ${refused} of ${events} events have pulses of them and become dead letters`
}

function factsOfMessage({ message }: AlertContents): Fact[] {
  const { streams, fits, cleaned } = message
  const facts: Fact[] = [['streams', streams.length === 0 ? '–' : streams.join(', ')]]
  for (const { name, zenith, azimuth } of fits)
    facts.push([
      `fit ${name}`,
      `zenith ${zenith.toFixed(4)}, azimuth ${azimuth.toFixed(4)} rad, of the message`,
    ])
  if (cleaned)
    facts.push([
      'cleaned',
      `${cleaned.nch} channels, ${cleaned.npulses} pulses, ${cleaned.qtot.toFixed(2)} p.e.`,
    ])
  return facts
}

function renderSeries(series: readonly SeriesSurvey[]): string {
  const head = ['pulse series', 'frames', 'pulses', 'most', 'IceTop', 'other', 'unreadable', 'events read']
  const rows = series.map((each) => [
    each.name,
    ...[
      each.frames,
      each.pulses,
      each.mostPulses,
      each.iceTopPulses,
      each.otherPulses,
      each.brokenFrames,
      each.eventsRead,
    ].map(String),
  ])
  return renderTable([head, ...rows])
}

function renderParquet(survey: ParquetSurvey): string[] {
  const { columns, rows, rowGroups, pulses, noPulsesReason } = survey
  const facts: Fact[] = [['rows', `${rows} in ${rowGroups} row groups`]]
  if (pulses) {
    const { sample, events } = pulses
    facts.push(['events', String(events)])
    const foreign =
      sample.unknownPulses > 0
        ? `; ${sample.unknownPulses} of ${sample.unknownSensors} sensors that IceCube-86 lacks`
        : ''
    facts.push(['first pulses', `${sample.pulses}, on ${sample.strings} of 86 strings${foreign}`])
  } else facts.push(['no pulse file', (noPulsesReason ?? '–').split('; it has ', 1)[0]])
  return [
    renderFacts(facts),
    renderTable([['column', 'type'], ...columns.map(({ name, type }) => [name, cutText(type, TYPE_MAX)])]),
  ]
}

function renderCounts(counts: readonly Count[]): string {
  return counts.length === 0 ? 'none' : counts.map(({ name, count }) => `${name} ${count}`).join(', ')
}

function renderRange(range: Range<number | string> | undefined): string {
  if (range === undefined) return '–'
  return range.from === range.to ? String(range.from) : `${range.from} to ${range.to}`
}

function toUtc({ from, to }: Range<bigint>): Range<string> {
  return { from: toIso(from), to: toIso(to) }
}

/** To the nanosecond. */
function toIso(ns: bigint): string {
  const belowSecond = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  const second = new Date(Number((ns - belowSecond) / 1_000_000n)).toISOString().slice(0, 19)
  return `${second}.${String(belowSecond).padStart(9, '0')}Z`
}
