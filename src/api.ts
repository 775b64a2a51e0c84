/**
 * What `import … from 'nustream'` gives: the event form, its wire form, sources and models. Documented in docs/api.md;
 * whatever is not named here may change without notice.
 */
export {
  EVENT_ERROR_CODES,
  EventError,
  type EventErrorCode,
  NustreamError,
  UnavailableError,
  UsageError,
} from './errors.ts'
export { checkEvents, type EventFault } from './event/check.ts'
export {
  angularDistance,
  type Direction,
  fromSourceVector,
  openingAngles,
  toSourceVector,
} from './event/direction.ts'
export {
  concatEvents,
  type EventBatch,
  eventCount,
  pulseCount,
  selectEvents,
  sliceEvents,
  type Truth,
  UTC_UNKNOWN,
} from './event/event-batch.ts'
export type { PredictionBatch, PredictionOrigin } from './event/prediction-wire.ts'
export { decodePredictionBatch, encodePredictionBatch } from './event/prediction-wire.ts'
export { SENSOR_COUNT, sensorPositions } from './event/sensors.ts'
export { type DecodedEvents, decodeEventBatch, decodeEvents, encodeEventBatch } from './event/wire.ts'
export type { Directions, InferenceFault } from './inference/directions.ts'
export type { Inference, Inferrer, ModelIdentity } from './inference/inferrer.ts'
export { type LocalModel, type LocalModelOptions, openLocalModel } from './inference/network/local.ts'
export { openSource, type SourceOptions } from './source/open.ts'
export type { EventSource, RejectedEvent, SourceChunk, SourceReadOptions } from './source/source.ts'
