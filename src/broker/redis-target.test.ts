import { describe, expect, it } from 'vitest'
import { brokerSettings } from './options.ts'
import { readTarget } from './redis-target.ts'

describe('readTarget()', () => {
  const plain = {
    host: 'h',
    port: 6379,
    tls: false,
    ca: undefined,
    username: undefined,
    password: undefined,
    database: 0,
  }
  const cases = [
    { url: 'redis://h', options: {}, target: plain },
    { url: 'redis://h:7000/3', options: {}, target: { ...plain, port: 7000, database: 3 } },
    { url: 'rediss://h/', options: {}, target: { ...plain, tls: true } },
    { url: 'redis://[::1]:1', options: {}, target: { ...plain, host: '::1', port: 1 } },
    { url: 'redis://:p%40ss@h', options: {}, target: { ...plain, password: 'p@ss' } },
    { url: 'redis://u:p@h', options: { password: 'q' }, target: { ...plain, username: 'u', password: 'q' } },
    { url: 'redis://h', options: { username: 'u' }, target: { ...plain, username: 'u' } },
  ]
  it.each(cases)('reads $url', ({ url, options, target }) => {
    expect(readTarget(url, brokerSettings(options))).toEqual(target)
  })

  it.each(['redis://', 'redis://h:99999', 'redis://h/one', 'redis://%zz@h'])('refuses %s', (url) => {
    const read = () => readTarget(url, brokerSettings({}))
    expect(read).toThrow(expect.objectContaining({ code: 'broker_url_invalid' }))
  })
})
