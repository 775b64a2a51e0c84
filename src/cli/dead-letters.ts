import type { Command } from 'commander'
import { z } from 'zod'
import type { Broker, StoredDeadLetter } from '../broker/contract.ts'
import { openBroker } from '../broker/open.ts'
import { UsageError } from '../errors.ts'
import { renderTable } from '../evaluation/table.ts'
import { decodeEvents } from '../event/wire.ts'
import { addCommand } from './command.ts'
import { formatJson } from './format-json.ts'
import { toBrokerOptions } from './role.ts'
import { brokerSettings, jsonSetting } from './settings.ts'

const ACTIONS = ['list', 'show', 'replay', 'drop'] as const

export function add(program: Command): void {
  addCommand(program, {
    name: 'dead-letters',
    summary: 'list, show, replay or drop events that could not be processed',
    examples: [
      'nustream dead-letters list --broker redis://127.0.0.1:6379',
      'nustream dead-letters show 1732398000000-0 --broker sqlite:stream.db',
      'nustream dead-letters replay all --broker redis://127.0.0.1:6379',
    ],
    arguments: [
      { spec: '<action>', description: `one of ${ACTIONS.join(', ')}` },
      { spec: '[id]', description: 'id of a dead letter; replay and drop also take "all"' },
    ],
    shape: {
      ...brokerSettings,
      limit: z.coerce
        .number()
        .int()
        .min(1)
        .max(100_000)
        .default(50)
        .describe('most dead letters to list')
        .meta({ value: 'n' }),
      ...jsonSetting,
    },
    run: async (config, [action = '', id]) => {
      if (!isAction(action))
        throw new UsageError(
          'flag_invalid',
          `unknown action "${action}"; expected one of ${ACTIONS.join(', ')}`,
        )
      if (action !== 'list' && id === undefined)
        throw new UsageError(
          'flag_invalid',
          `${action} needs the id of a dead letter; "dead-letters list" shows the ids`,
        )
      await using broker = await openBroker(config.broker, toBrokerOptions(config))
      if (action === 'list') return await list(broker, config)
      if (action === 'show') return await show(broker, id ?? '', config.json)
      return await change(broker, action, id ?? '')
    },
  })
}

function isAction(text: string): text is (typeof ACTIONS)[number] {
  return (ACTIONS as readonly string[]).includes(text)
}

async function list(broker: Broker, config: { limit: number; json: boolean }): Promise<number> {
  const letters = await broker.deadLetters({ limit: config.limit })
  if (config.json) {
    console.log(JSON.stringify(letters.map(toRecord)))
    return 0
  }
  if (letters.length === 0) {
    console.log('no dead letters')
    return 0
  }
  const rows = letters.map((letter) => {
    const { id, died, event, code, message } = toRecord(letter)
    return [id, died, event ?? '–', code, message]
  })
  console.log(renderTable([['id', 'died', 'event', 'reason', 'message'], ...rows]))
  return 0
}

async function show(broker: Broker, id: string, json: boolean): Promise<number> {
  const letter = await broker.deadLetter(id)
  if (!letter) throw new UsageError('flag_invalid', `no dead letter ${id}; "dead-letters list" shows the ids`)
  const record = { ...toRecord(letter), ...contentOf(letter) }
  console.log(json ? JSON.stringify(record) : formatJson(record))
  return 0
}

async function change(broker: Broker, action: 'replay' | 'drop', id: string): Promise<number> {
  const apply = (one: string) =>
    action === 'replay' ? broker.replayDeadLetter(one) : broker.dropDeadLetter(one)
  if (id !== 'all' && !(await apply(id)))
    throw new UsageError('flag_invalid', `no dead letter ${id}; "dead-letters list" shows the ids`)
  const changed = id === 'all' ? await changeAll(broker, apply) : 1
  console.log(`${action === 'replay' ? 'replayed' : 'dropped'} ${changed} dead letters`)
  return 0
}

const AT_ONCE = 500

/** Newest first, in pages. A letter that arrives meanwhile is newer than the start and is left for the next call. */
async function changeAll(broker: Broker, apply: (id: string) => Promise<boolean>): Promise<number> {
  const startedAtMs = Date.now()
  let changed = 0
  for (let limit = AT_ONCE; ; ) {
    const letters = await broker.deadLetters({ limit })
    const old = letters.filter(({ diedAtMs }) => diedAtMs < startedAtMs)
    for (const { id } of old) if (await apply(id)) changed += 1
    if (letters.length < limit) return changed
    // The page held new letters only: list older ones.
    if (old.length === 0) limit += AT_ONCE
  }
}

function toRecord(letter: StoredDeadLetter) {
  return {
    id: letter.id,
    died: new Date(letter.diedAtMs).toISOString(),
    batch: letter.batchId,
    event: letter.eventId?.toString(),
    events: letter.events,
    code: letter.code,
    message: letter.message,
    attempts: letter.attempts,
    payloadBytes: letter.payload.length,
  }
}

/** Bytes shown of a payload that cannot be decoded. */
const BYTES_SHOWN = 64

/** The event's pulses as columns, or the first bytes of a payload that cannot be decoded, as characters or `\xNN`. */
function contentOf({ payload }: StoredDeadLetter) {
  try {
    const { batch } = decodeEvents(payload)
    const [from, to] = [batch.offsets[0], batch.offsets[batch.offsets.length - 1]]
    const pulses = {
      sensor_id: [...batch.sensorIds.subarray(from, to)],
      time: Array.from(batch.times.subarray(from, to), toShown),
      charge: Array.from(batch.charges.subarray(from, to), toShown),
      auxiliary: [...batch.auxiliary.subarray(from, to)],
    }
    return { pulses }
  } catch {
    return { payloadBegins: Array.from(payload.subarray(0, BYTES_SHOWN), toCharacter).join('') }
  }
}

/** JSON has no NaN, which is often the value at fault. */
function toShown(value: number): number | string {
  return Number.isFinite(value) ? value : String(value)
}

function toCharacter(byte: number): string {
  const isPrintable = byte >= 0x20 && byte < 0x7f && byte !== 0x5c
  return isPrintable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
}
