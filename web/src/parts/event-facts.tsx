import type { ReactNode } from 'react'
import type { DrawnEvent } from '../../../src/display/messages.ts'
import { angularDistance, vmfRadius } from '../../../src/event/direction.ts'
import { formatCharge, formatCount, formatDegrees, formatDuration } from '../format.ts'
import { usePage } from '../page-context.ts'
import { useStore } from '../store.ts'

/** True if the model is the line fit or agrees with it. */
const SAME_RAD = 0.01

/** Facts of the drawn event. */
export function EventFacts() {
  const page = usePage()
  const event = useStore(page.playback.store, (state) => state.event)
  if (!event) return null
  const { prediction, lineFit, truth, reference } = event
  const drawn = event.pulses.timesNs.length
  return (
    <div className="facts" data-event={event.key}>
      <h2>
        <span className="quiet">Event</span> {event.eventId}
      </h2>
      <dl>
        <Fact name="came from">
          zenith {formatDegrees(prediction.zenith)}, azimuth {formatDegrees(prediction.azimuth)}
        </Fact>
        <Fact name="within">{uncertainty(event)}</Fact>
        {event.errorRad !== null && (
          <Fact name="off truth">
            {formatDegrees(event.errorRad)}
            {truth && lineFit && angularDistance(lineFit, prediction) > SAME_RAD && (
              <span className="quiet"> · line fit {formatDegrees(angularDistance(lineFit, truth))}</span>
            )}
          </Fact>
        )}
        {reference && (
          <Fact name="off reference">
            {formatDegrees(angularDistance(prediction, reference))}
            <span className="quiet"> · another fit, not the truth</span>
          </Fact>
        )}
        <Fact name="light">
          {formatCharge(event.chargeTotal)} in {formatCount(event.pulsesTotal)}{' '}
          {event.pulsesTotal === 1 ? 'pulse' : 'pulses'}
        </Fact>
        {drawn < event.pulsesTotal && <Fact name="drawn">the {formatCount(drawn)} that matter most</Fact>}
        <Fact name="answered">in {formatDuration(Math.max(0, event.predictedAtMs - event.emittedAtMs))}</Fact>
      </dl>
    </div>
  )
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function uncertainty({ prediction }: DrawnEvent): ReactNode {
  if (prediction.degenerate) return 'not determined: this event has no preferred direction'
  if (prediction.kappa === null) return <span className="quiet">this model gives no uncertainty</span>
  const radius = (share: number) => formatDegrees(vmfRadius(share, prediction.kappa ?? 0))
  return `${radius(0.5)} (50 %), ${radius(0.9)} (90 %)`
}
