/** Why a request as a whole was refused. Closed set, listed in docs/http-api.md. */
export const REQUEST_ERROR_CODES = [
  'body_malformed', // not JSON, not Arrow, or without the fields asked for
  'body_too_large',
  'events_too_many',
  'media_type_unknown',
  'unauthorized',
  'not_found',
  'model_unknown',
  'tensor_invalid', // a tensor whose name, datatype, shape or data does not fit the model
  'deadline_exceeded',
  'overloaded',
  'unavailable', // the model cannot answer now
  'closing',
  'internal',
] as const
export type RequestErrorCode = (typeof REQUEST_ERROR_CODES)[number]

const STATUS: Record<RequestErrorCode, number> = {
  body_malformed: 400,
  body_too_large: 413,
  events_too_many: 413,
  media_type_unknown: 415,
  unauthorized: 401,
  not_found: 404,
  model_unknown: 404,
  tensor_invalid: 400,
  deadline_exceeded: 504,
  overloaded: 503,
  unavailable: 503,
  closing: 503,
  internal: 500,
}

/** A request that gets no directions. Its message is shown to the caller: it never holds what others sent. */
export class RequestError extends Error {
  readonly code: RequestErrorCode
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: RequestErrorCode,
    message: string,
    options?: ErrorOptions & { readonly retryAfterSeconds?: number },
  ) {
    super(message, options)
    this.code = code
    this.retryAfterSeconds = options?.retryAfterSeconds
  }

  override get name(): string {
    return 'RequestError'
  }

  get status(): number {
    return STATUS[this.code]
  }
}
