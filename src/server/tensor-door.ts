import type { FastifyReply } from 'fastify'
import type { Inferrer } from '../inference/inferrer.ts'
import type { LocalModel } from '../inference/network/local.ts'
import type { NamedTensors } from '../inference/tensors/tensor.ts'
import type { Coalescer } from './coalesce.ts'
import { answerOf } from './guard.ts'
import { notReady } from './health.ts'
import { inferEvents, type PredictParts } from './infer-events.ts'
import type { InferRequest } from './infer-request.ts'
import type { TensorDoor } from './open-inference.ts'
import { PULSE_GRAPH, runPulseTensors } from './pulse-tensors.ts'
import type { Network, TensorAsk } from './tensor-work.ts'

/** A model to serve: one with a network (`graph`, `manifest`, `runTensors`) also takes its tensors. */
export type ServedModel = Inferrer & Partial<Pick<LocalModel, 'graph' | 'manifest' | 'runTensors'>>

export function networkOf({ graph, manifest, runTensors }: ServedModel): Network | undefined {
  if (graph === undefined || manifest === undefined || runTensors === undefined) return undefined
  return { graph, manifest, runTensors }
}

/** The network's own tensors. */
export function networkDoor(
  model: ServedModel,
  network: Network,
  tensors: Coalescer<TensorAsk, NamedTensors>,
  parts: PredictParts,
): TensorDoor {
  return {
    identity: () => model.model,
    platform: 'onnx_onnxv1',
    graph: network.graph,
    run: (request, reply) => answerOf(tensors.submit(toAsk(request)), reply, parts.metrics),
    notReady: () => notReady(model),
  }
}

/** Raw pulses as tensors, for a model without a network. */
export function pulseDoor(model: ServedModel, parts: PredictParts): TensorDoor {
  return {
    identity: () => model.model,
    platform: 'nustream_pulses',
    graph: PULSE_GRAPH,
    run: ({ inputs }: InferRequest, reply: FastifyReply) =>
      runPulseTensors(inputs, (batch) => inferEvents(batch, parts, reply)),
    notReady: () => notReady(model),
  }
}

function toAsk({ inputs, outputs }: InferRequest): TensorAsk {
  return { inputs, outputs: [...new Set(outputs.map(({ name }) => name))] }
}
