import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createHostCheck, createTokenCheck, parseTokens, tokensInFile } from './access.ts'

describe('createTokenCheck', () => {
  it('allows everyone where there is no token', () => {
    const check = createTokenCheck([])
    expect(check.isNeeded).toBe(false)
    expect(check.allows(undefined)).toBe(true)
  })

  it.each(['Bearer old', 'Bearer new', 'bearer  new', 'BEARER old '])(
    'allows %j, one of two tokens',
    (header) => {
      expect(createTokenCheck(['old', 'new']).allows(header)).toBe(true)
    },
  )

  it.each([undefined, '', 'old', 'Bearer', 'Bearer ', 'Bearer oldnew', 'Bearer old,new', 'Basic old'])(
    'refuses %j',
    (header) => {
      expect(createTokenCheck(['old', 'new']).allows(header)).toBe(false)
    },
  )

  it('follows tokens that change', () => {
    let tokens = ['old']
    const check = createTokenCheck(() => tokens)
    expect(check.isRight('old')).toBe(true)
    tokens = ['new']
    expect([check.isRight('old'), check.isRight('new')]).toEqual([false, true])
  })
})

it.each([
  { list: undefined, tokens: [] },
  { list: ' , \n', tokens: [] },
  { list: 'one', tokens: ['one'] },
  { list: 'one,two', tokens: ['one', 'two'] },
  { list: 'one\r\ntwo\n', tokens: ['one', 'two'] },
])('parseTokens() finds $tokens in $list', ({ list, tokens }) => {
  expect(parseTokens(list)).toEqual(tokens)
})

describe('tokensInFile', () => {
  function file(text: string) {
    const folder = mkdtempSync(join(tmpdir(), 'nustream-token-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'tokens')
    writeFileSync(path, text)
    let [nowMs, writes] = [0, 0]
    return {
      path,
      tokens: tokensInFile(path, () => nowMs),
      write(next: string) {
        writeFileSync(path, next)
        // The clock of the file system may be too coarse to tell two writes apart.
        utimesSync(path, 1000 + ++writes, 1000 + writes)
      },
      pass: (ms: number) => {
        nowMs += ms
      },
    }
  }

  it('reads the file again when it has changed', () => {
    const { tokens, write, pass } = file('one\n')
    expect(tokens()).toEqual(['one'])
    write('two\none\n')
    pass(1000)
    expect(tokens()).toEqual(['two', 'one'])
  })

  it('keeps the tokens that it has while the file is empty or gone', () => {
    const { path, tokens, write, pass } = file('one\n')
    write('')
    pass(1000)
    expect(tokens()).toEqual(['one'])
    rmSync(path)
    pass(1000)
    expect(tokens()).toEqual(['one'])
    write('two')
    pass(1000)
    expect(tokens()).toEqual(['two'])
  })

  it('refuses a file without a token, and one that is not there', () => {
    expect(() => file('\n')).toThrow(/holds no token; write one a line/)
    expect(() => tokensInFile('/nowhere/token')).toThrow(/token file \/nowhere\/token cannot be read/)
  })
})

describe('createHostCheck', () => {
  const check = createHostCheck({ host: '127.0.0.1', allowedHosts: ['cube2.example', '[fd00::1]:80'] })

  it.each([
    'localhost',
    'localhost:8500',
    'LocalHost:8500',
    'localhost.:8500',
    '127.0.0.1:8500',
    '[::1]:8500',
    'cube2.example:8500',
    'CUBE2.example',
    '[fd00::1]:8500',
    undefined,
  ])('lets the Host header %j pass', (host) => {
    expect(check({ host })).toBeUndefined()
  })

  it.each([
    'evil.example',
    'evil.example:8500',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example#localhost',
    'evil@localhost',
    'localhost/evil',
    '10.0.0.1:8500',
    '',
    'x'.repeat(100_000),
  ])('refuses the Host header %j', (host) => {
    expect(check({ host })).toMatch(/^the Host header ".{0,80}" is none that this server answers to/)
  })

  it.each([
    undefined,
    'http://localhost:8500',
    'http://localhost:9000',
    'https://cube2.example',
    'http://[::1]:1',
  ])('lets the Origin header %j pass', (origin) => {
    expect(check({ host: 'localhost:8500', origin })).toBeUndefined()
  })

  it.each(['http://evil.example', 'null', '', 'file://', 'http://localhost.evil.example'])(
    'refuses the Origin header %j',
    (origin) => {
      expect(check({ host: 'localhost:8500', origin })).toContain('may not ask this server')
    },
  )

  it('names no host where the server listens for the network, unless allowed hosts are given', () => {
    expect(createHostCheck({ host: '0.0.0.0' })({ host: 'anything', origin: 'http://other' })).toBeUndefined()
    const narrow = createHostCheck({ host: '0.0.0.0', allowedHosts: ['cube2'] })
    expect(narrow({ host: 'cube2' })).toBeUndefined()
    expect(narrow({ host: 'anything' })).toBeDefined()
  })

  it('answers to the name that the server listens on', () => {
    expect(createHostCheck({ host: '127.0.0.2' })({ host: '127.0.0.2:1' })).toBeUndefined()
    expect(createHostCheck({ host: '::1' })({ host: '[::1]' })).toBeUndefined()
  })
})
