/** What one value of a column belongs to: a pulse of its own, or the event as a whole (repeated on each pulse). */
export type ColumnScope = 'pulse' | 'event'

interface ColumnFacts {
  /** Unit of the raw value, before any normalisation. '1' where it has none. */
  readonly unit: 'm' | 'ns' | 'p.e.' | '1'
  readonly scope: ColumnScope
  /** Raw values are above 0 for every event that the event form admits. */
  readonly positive: boolean
  /** Raw values can be below 0. */
  readonly signed: boolean
  /** A table with more than one published reading, so the manifest must say which. */
  readonly hasLookup: boolean
}

function column(
  unit: ColumnFacts['unit'],
  scope: ColumnScope,
  options: Partial<ColumnFacts> = {},
): ColumnFacts {
  return { unit, scope, positive: false, signed: false, hasLookup: false, ...options }
}

/** The closed menu of feature columns that a manifest can ask for. Meanings are in docs/models.md. */
export const COLUMNS = {
  x: column('m', 'pulse', { signed: true }),
  y: column('m', 'pulse', { signed: true }),
  z: column('m', 'pulse', { signed: true }),
  time: column('ns', 'pulse', { signed: true }),
  timeSinceFirst: column('ns', 'pulse'),
  timeSinceFirstHlc: column('ns', 'pulse', { signed: true }),
  charge: column('p.e.', 'pulse', { positive: true }),
  auxiliary: column('1', 'pulse'),
  hlc: column('1', 'pulse'),
  quantumEfficiency: column('1', 'pulse', { hasLookup: true }),
  scatteringLength: column('m', 'pulse', { positive: true, hasLookup: true }),
  absorptionLength: column('m', 'pulse', { positive: true, hasLookup: true }),
  sensorId: column('1', 'pulse'),
  stringIndex: column('1', 'pulse'),
  domIndex: column('1', 'pulse'),
  pulseIndex: column('1', 'pulse'),
  pulseCount: column('1', 'event', { positive: true }),
  hlcCount: column('1', 'event'),
  totalCharge: column('p.e.', 'event', { positive: true }),
} as const satisfies Record<string, ColumnFacts>

export type ColumnName = keyof typeof COLUMNS

// Object.keys() types its result as string[]; the keys of this literal are exactly ColumnName.
export const COLUMN_NAMES = Object.keys(COLUMNS) as [ColumnName, ...ColumnName[]]
