import { describe, expect, it } from 'vitest'
import { formatTraceparent, NO_TRACER, parseTraceparent } from './tracing.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

describe('parseTraceparent()', () => {
  const cases = [
    { name: 'a sampled parent', text: `00-${TRACE}-${SPAN}-01`, flags: 1 },
    { name: 'one that is not sampled', text: `00-${TRACE}-${SPAN}-00`, flags: 0 },
    { name: 'a later version with more fields', text: `01-${TRACE}-${SPAN}-01-more`, flags: 1 },
    { name: 'more fields than version 00 has', text: `00-${TRACE}-${SPAN}-01-more`, flags: undefined },
    { name: 'the invalid version', text: `ff-${TRACE}-${SPAN}-01`, flags: undefined },
    { name: 'a trace id of zeros', text: `00-${'0'.repeat(32)}-${SPAN}-01`, flags: undefined },
    { name: 'a span id of zeros', text: `00-${TRACE}-${'0'.repeat(16)}-01`, flags: undefined },
    { name: 'capitals', text: `00-${TRACE.toUpperCase()}-${SPAN}-01`, flags: undefined },
    { name: 'anything else', text: 'x', flags: undefined },
    { name: 'nothing', text: undefined, flags: undefined },
  ]
  it.each(cases)('reads $name', ({ text, flags }) => {
    expect(parseTraceparent(text)).toEqual(
      flags === undefined ? undefined : { traceId: TRACE, spanId: SPAN, flags },
    )
  })

  it('reads what formatTraceparent() writes', () => {
    const parent = { traceId: TRACE, spanId: SPAN, flags: 1 }
    expect(formatTraceparent(parent)).toBe(`00-${TRACE}-${SPAN}-01`)
    expect(parseTraceparent(formatTraceparent(parent))).toEqual(parent)
  })
})

it('NO_TRACER hands on the trace that it was given', () => {
  const parent = `00-${TRACE}-${SPAN}-01`
  expect(NO_TRACER.start('work', { parent }).traceparent).toBe(parent)
  expect(NO_TRACER.start('work').traceparent).toBeUndefined()
})
