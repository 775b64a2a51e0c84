import type { Strip } from '../../../src/display/messages.ts'
import { formatCount, formatDuration, formatRadians, formatRate, formatShort } from '../format.ts'
import { usePage } from '../page-context.ts'
import { useStore } from '../store.ts'
import { StripChart, type StripLine } from './strip-chart.tsx'

interface StripKind {
  readonly name: string
  readonly unit: string
  readonly value: (strip: Strip) => string
  readonly second?: (strip: Strip) => { readonly name: string; readonly value: string }
  readonly lines: readonly StripLine[]
  /** Smallest maximum of the scale. */
  readonly topMin: number
  /** Format of the ticks; plain numbers by default. */
  readonly format?: (value: number) => string
  /** Computed from individual predictions, of which a sample is read if there are too many. */
  readonly isOfWatched?: boolean
}

const KINDS: readonly StripKind[] = [
  {
    name: 'Events',
    unit: 'per second',
    value: (strip) => formatRate(strip.eventsPerSecond),
    second: (strip) => ({ name: 'emitted', value: formatRate(strip.emittedPerSecond) }),
    lines: [
      { of: (strip) => strip.eventsPerSecond, isSecond: false },
      { of: (strip) => strip.emittedPerSecond, isSecond: true },
    ],
    topMin: 10,
  },
  {
    name: 'Lag',
    unit: 'events waiting',
    value: (strip) => formatCount(strip.lag.events),
    second: (strip) => ({ name: 'oldest', value: formatDuration(strip.lag.oldestAgeMs) }),
    lines: [{ of: (strip) => strip.lag.events, isSecond: false }],
    topMin: 10,
  },
  {
    name: 'Latency',
    unit: 'p50, last 10 s',
    value: (strip) => formatDuration(strip.latencyMs?.p50 ?? null),
    second: (strip) => ({ name: 'p99', value: formatDuration(strip.latencyMs?.p99 ?? null) }),
    lines: [
      { of: (strip) => strip.latencyMs?.p50 ?? null, isSecond: false },
      { of: (strip) => strip.latencyMs?.p99 ?? null, isSecond: true },
    ],
    topMin: 50,
    format: formatDuration,
    isOfWatched: true,
  },
  {
    name: 'Mean angular error',
    unit: 'rad, last 10 s',
    value: (strip) => formatRadians(strip.meanAngularErrorRad),
    second: (strip) => ({ name: 'since start', value: formatRadians(strip.watched.meanAngularErrorRad) }),
    lines: [{ of: (strip) => strip.meanAngularErrorRad, isSecond: false }],
    topMin: 1.6,
    isOfWatched: true,
  },
]

/** The figures of the stream over the last minutes. */
export function Strips() {
  const page = usePage()
  const strips = useStore(page.stream, (state) => state.strips)
  const last = strips.at(-1)
  const isSampled = (last?.watched.skippedBatches ?? 0) > 0
  return (
    <section className="panel strips" aria-label="Figures of the stream">
      {KINDS.map((kind) => {
        const second = last && kind.second?.(last)
        return (
          <article key={kind.name} className="strip">
            <header>
              <h2>{kind.name}</h2>
              <p className="unit">
                {kind.unit}
                {kind.isOfWatched && isSampled && ', of a sample'}
              </p>
            </header>
            <p className="figure">
              <b data-figure={kind.name}>{last ? kind.value(last) : '–'}</b>
              {second && (
                <span className={kind.lines.some(({ isSecond }) => isSecond) ? 'second is-dashed' : 'second'}>
                  {second.name} <b>{second.value}</b>
                </span>
              )}
            </p>
            <StripChart {...kind} format={kind.format ?? formatShort} strips={strips} />
          </article>
        )
      })}
    </section>
  )
}
