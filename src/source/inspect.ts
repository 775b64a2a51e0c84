import { open, readFile, stat } from 'node:fs/promises'
import { UsageError } from '../errors.ts'
import { type AlertMessage, MESSAGE_BYTES_MAX, readMessage } from '../formats/alert/message.ts'
import { readDecompressed } from '../formats/decompress.ts'
import { FormatError } from '../formats/format-error.ts'
import { readFrames } from '../formats/i3/frames.ts'
import { FrameCounter, type FrameSurvey } from '../formats/i3/survey.ts'
import { type ParquetSurvey, surveyParquet } from '../formats/parquet/survey.ts'

interface Inspected {
  readonly file: string
  readonly bytes: number
}

export interface I3Contents extends Inspected {
  readonly kind: 'i3'
  readonly survey: FrameSurvey
  /** Whether the file has more physics frames than were asked for. */
  readonly isCut: boolean
  /** What is wrong with the file after the frames that are counted; undefined where it was read to its end. */
  readonly fault: string | undefined
}

export interface AlertContents extends Inspected {
  readonly kind: 'alert'
  readonly survey: FrameSurvey
  readonly message: Pick<AlertMessage, 'streams' | 'fits' | 'cleaned' | 'letters'>
}

export interface ParquetContents extends Inspected {
  readonly kind: 'parquet'
  readonly survey: ParquetSurvey
}

export type FileContents = I3Contents | AlertContents | ParquetContents

/** Forms that are known by the bytes that a file begins with. The file's name says nothing. */
const FORMS: readonly (readonly [name: string, bytes: string])[] = [
  ['parquet', 'PAR1'],
  ['i3', '[i3]'],
  ['i3', '\x1f\x8b'], // gzip
  ['i3', 'BZh'],
  ['i3', '\x28\xb5\x2f\xfd'], // zstd
  ['alert', '\x80'],
  ['an SQLite database', 'SQLite format 3\0'],
  ['an HDF5 file', '\x89HDF\r\n'],
  ['a ROOT file', 'root'],
  ['an Arrow file', 'ARROW1'],
  ['a ZIP archive', 'PK\x03\x04'],
]
const HEAD_BYTES = 64

/**
 * Counts what a file holds: an I3 file, an event message of IceCube, or a Parquet file. Memory is bounded by the largest frame,
 * message or page.
 * @param eventsMax physics frames of an I3 file to look at, at most
 * @throws UsageError `source_missing`, or `source_unreadable` for a file of another form, or one that is damaged from the start
 */
export async function inspectFile(file: string, eventsMax = Number.POSITIVE_INFINITY): Promise<FileContents> {
  const { bytes, head } = await readHead(file)
  const form = formOf(head)
  try {
    switch (form) {
      case 'parquet':
        return { kind: form, file, bytes, survey: await surveyParquet(file) }
      case 'i3':
        return { kind: form, file, bytes, ...(await surveyI3(file, eventsMax)) }
      case 'alert':
        return { kind: form, file, bytes, ...(await surveyAlert(file, bytes)) }
      default:
        throw new FormatError(
          `the file is ${form}; what is read are I3 files (plain, gzip, zstd, bzip2), event messages of IceCube (JSON, pickle) and Parquet files`,
        )
    }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new UsageError('source_unreadable', `${file}: ${cause.message}`, { cause })
  }
}

async function readHead(file: string): Promise<{ readonly bytes: number; readonly head: string }> {
  try {
    const found = await stat(file)
    if (found.isDirectory())
      throw new UsageError('source_unreadable', `${file}: is a folder; name one of its files`)
    if (!found.isFile()) throw new UsageError('source_unreadable', `${file}: is no regular file`)
    await using handle = await open(file)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return { bytes: found.size, head: buffer.subarray(0, bytesRead).toString('latin1') }
  } catch (cause) {
    if (cause instanceof UsageError || !(cause instanceof Error && 'code' in cause)) throw cause
    const isMissing = cause.code === 'ENOENT' || cause.code === 'ENOTDIR'
    const says = isMissing ? 'no such file' : `may not be read (${cause.message})`
    throw new UsageError(isMissing ? 'source_missing' : 'source_unreadable', `${file}: ${says}`, { cause })
  }
}

function formOf(head: string): string {
  if (head.length === 0) return 'empty'
  const form = FORMS.find(([, magic]) => head.startsWith(magic))
  if (form) return form[0]
  return head.replace('\u00ef\u00bb\u00bf', '').trimStart().startsWith('{') ? 'alert' : 'of an unknown form'
}

async function surveyI3(
  file: string,
  eventsMax: number,
): Promise<Pick<I3Contents, 'survey' | 'isCut' | 'fault'>> {
  const counter = new FrameCounter()
  let frames = 0
  try {
    for await (const frame of readFrames(readDecompressed(file))) {
      if (frame.stream === 'P' && counter.physicsFrames >= eventsMax)
        return { survey: counter.survey(), isCut: true, fault: undefined }
      counter.add(frame)
      frames++
    }
  } catch (error) {
    // What comes before the fault is worth knowing.
    if (!(error instanceof FormatError) || frames === 0) throw error
    return { survey: counter.survey(), isCut: false, fault: error.message }
  }
  return { survey: counter.survey(), isCut: false, fault: undefined }
}

async function surveyAlert(file: string, bytes: number): Promise<Pick<AlertContents, 'survey' | 'message'>> {
  if (bytes > MESSAGE_BYTES_MAX)
    throw new FormatError(`${bytes} bytes; a message has at most ${MESSAGE_BYTES_MAX}`)
  const { frames, streams, fits, cleaned, letters } = readMessage(await readFile(file))
  const counter = new FrameCounter()
  for (const frame of frames) counter.add(frame)
  return { survey: counter.survey(), message: { streams, fits, cleaned, letters } }
}
