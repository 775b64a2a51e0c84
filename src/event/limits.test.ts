import { describe, expect, it } from 'vitest'
import { faultOfName, NAME_BYTES_MAX } from './limits.ts'

describe('faultOfName()', () => {
  it.each([
    ['a', undefined],
    ['née/1 "x"', undefined],
    ['x'.repeat(NAME_BYTES_MAX), undefined],
    ['x'.repeat(NAME_BYTES_MAX + 1), 'has 513 bytes; at most 512 are allowed'],
    ['é'.repeat(257), 'has 514 bytes; at most 512 are allowed'],
    ['', 'is empty'],
  ])('judges "%s"', (name, fault) => {
    expect(faultOfName(Buffer.from(name))).toBe(fault)
  })

  it.each(['ff', '80049523', 'c3', 'eda080', 'f8888080'])(
    'refuses the bytes %s, which are not UTF-8',
    (hex) => {
      expect(faultOfName(Buffer.from(hex, 'hex'))).toBe('is not UTF-8')
    },
  )
})
