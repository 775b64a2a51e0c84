import { EVENT_ERROR_CODES, type EventErrorCode } from '../errors.ts'

/** A stored reason as one of ours; a reason of another version becomes the least specific one. */
export function toErrorCode(value: unknown): EventErrorCode {
  return EVENT_ERROR_CODES.find((code) => code === value) ?? 'wire_unreadable'
}
