import { describe, expect, it } from 'vitest'
import { commandOf } from './keyboard.ts'
import { eventOfHash, hashOfEvent } from './route.ts'

const NO_MODIFIER = { ctrlKey: false, metaKey: false, altKey: false }

function command(key: string, tag = 'BODY', type = '') {
  return commandOf({ key, ...NO_MODIFIER }, { tag, type })
}

describe('commandOf()', () => {
  it('knows its keys, also as capitals', () => {
    expect(command(' ')).toBe('toggle')
    expect(command('f')).toBe('follow')
    expect(command('F')).toBe('follow')
    expect(command('ArrowLeft')).toBe('turn-left')
    expect(command('x')).toBeUndefined()
  })

  it('leaves keys to the browser', () => {
    expect(commandOf({ key: 'r', ...NO_MODIFIER, ctrlKey: true }, { tag: 'BODY' })).toBeUndefined()
    expect(commandOf({ key: 'f', ...NO_MODIFIER, metaKey: true }, { tag: 'BODY' })).toBeUndefined()
  })

  it('leaves keys to the focused element', () => {
    expect(command('f', 'INPUT', 'password')).toBeUndefined()
    expect(command(' ', 'BUTTON')).toBeUndefined()
    expect(command('f', 'BUTTON')).toBe('follow')
    expect(command('ArrowLeft', 'INPUT', 'range')).toBeUndefined()
    expect(command(' ', 'INPUT', 'range')).toBe('toggle')
  })
})

describe('addresses of events', () => {
  it('are read as they are written', () => {
    expect(eventOfHash(hashOfEvent('1396~azi6EOeP'))).toBe('1396~azi6EOeP')
    expect(eventOfHash('#/event/1396')).toBe('1396')
  })

  it('have no other form', () => {
    for (const hash of ['', '#', '#/event/', '#/event/a/b', '#/event/<b>', `#/event/${'9'.repeat(200)}`])
      expect(eventOfHash(hash)).toBeUndefined()
  })
})
