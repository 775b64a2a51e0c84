import { describe, expect, it } from 'vitest'
import { brokerSettings } from '../options.ts'
import { readTarget } from './target.ts'

const NO_FILES = { ca: undefined, cert: undefined, key: undefined }

describe('readTarget()', () => {
  const plain = {
    host: 'h',
    port: 6379,
    nodes: [{ host: 'h', port: 6379 }],
    kind: 'single',
    primaryName: '',
    waitReplicas: 0,
    waitMs: 1_000,
    tls: undefined,
    username: undefined,
    password: undefined,
    database: 0,
  }
  const cases = [
    { url: 'redis://h', options: {}, target: plain },
    { url: 'redis://h:7000/3', options: {}, target: { ...plain, ...at('h', 7000), database: 3 } },
    { url: 'rediss://h/', options: {}, target: { ...plain, tls: NO_FILES } },
    { url: 'redis://[::1]:1', options: {}, target: { ...plain, ...at('::1', 1) } },
    { url: 'redis://:p%40ss@h', options: {}, target: { ...plain, password: 'p@ss' } },
    { url: 'redis://u:p@h', options: { password: 'q' }, target: { ...plain, username: 'u', password: 'q' } },
    { url: 'redis://h', options: { username: 'u' }, target: { ...plain, username: 'u' } },
    {
      url: 'redis://h?wait=1&wait_ms=250',
      options: {},
      target: { ...plain, waitReplicas: 1, waitMs: 250 },
    },
    {
      url: 'rediss+cluster://u:p%40@h:1,[::1]:2,k?wait=2',
      options: {},
      target: {
        ...plain,
        ...at('h', 1),
        nodes: [
          { host: 'h', port: 1 },
          { host: '::1', port: 2 },
          { host: 'k', port: 6379 },
        ],
        kind: 'cluster',
        tls: NO_FILES,
        username: 'u',
        password: 'p@',
        waitReplicas: 2,
      },
    },
    {
      url: 'redis+sentinel://:p@s1,s2:26380/my%20primary/2?wait=1',
      options: {},
      target: {
        ...plain,
        ...at('s1', 26_379),
        nodes: [
          { host: 's1', port: 26_379 },
          { host: 's2', port: 26_380 },
        ],
        kind: 'sentinel',
        primaryName: 'my primary',
        password: 'p',
        database: 2,
        waitReplicas: 1,
      },
    },
    { url: 'redis://h?wait=16', options: {}, target: { ...plain, waitReplicas: 16 } },
  ]
  it.each(cases)('reads $url', ({ url, options, target }) => {
    expect(readTarget(url, brokerSettings(options))).toEqual(target)
  })

  it.each([
    'redis://',
    'redis://h:99999',
    'redis://h/one',
    'redis://%zz@h',
    'redis://h:1,k:2',
    'redis+cluster://h:1,k:two',
    'redis+cluster://h:1,',
    'redis+cluster://h:1/3',
    'redis+sentinel://h:1',
    'redis+sentinel://h:1/',
    'redis+sentinel://h:1/primary/one',
    'redis://h?wait=lots',
    'redis://h?wait=17',
    'redis://h?wiat=1',
  ])('refuses %s', (url) => {
    const read = () => readTarget(url, brokerSettings({}))
    expect(read).toThrow(expect.objectContaining({ code: 'broker_url_invalid' }))
  })
})

function at(host: string, port: number) {
  return { host, port, nodes: [{ host, port }] }
}
