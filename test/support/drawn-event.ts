import type { DrawnEvent } from '../../src/display/messages.ts'

/** An event of one pulse as the display sends it. */
export function drawnEvent(eventId: string, batchId = 'b'): DrawnEvent {
  return {
    key: `${eventId}~${batchId}`,
    eventId,
    batchId,
    pulses: { sensorIds: [1], timesNs: [10], charges: [1], auxiliary: [0] },
    pulsesTotal: 1,
    chargeTotal: 1,
    prediction: { azimuth: 1, zenith: 1, kappa: null, degenerate: false, model: 'm', modelVersion: '1' },
    lineFit: null,
    truth: null,
    errorRad: null,
    emittedAtMs: 1,
    predictedAtMs: 2,
  }
}
