import type { FastifyInstance } from 'fastify'
import type { Inferrer } from '../inference/inferrer.ts'
import { modelSchema } from './schemas.ts'

/** `GET /model`: which model answers, and what its training events looked like, so that a consumer can notice drift. */
export function modelRoute(scope: FastifyInstance, model: () => Inferrer): void {
  scope.get('/model', { schema: modelSchema }, async () => ({
    ...model().model,
    reference: model().reference ?? null,
  }))
}
