import type { Broker } from '../../src/broker/contract.ts'
import { decodePredictionBatch } from '../../src/event/prediction-wire.ts'

export interface PredictedEvent {
  readonly eventId: bigint
  readonly consumer: string
}

/** Every prediction in the broker: at least `events`, and those that follow shortly after. */
export async function predictedEvents(broker: Broker, events: number): Promise<PredictedEvent[]> {
  const found: PredictedEvent[] = []
  const ended = new AbortController()
  const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(20_000)])
  for await (const { payload } of broker.predictions({ signal })) {
    const { eventIds, origin } = decodePredictionBatch(payload)
    for (const eventId of eventIds) found.push({ eventId, consumer: origin.consumer })
    if (found.length >= events) setTimeout(() => ended.abort(), 500)
  }
  return found
}
