import { describe, expect, it } from 'vitest'
import { readMlflowUrl } from './address.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe('readMlflowUrl()', () => {
  it.each([
    { name: 'none', url: 'http://h:5000', given: {}, expected: undefined },
    {
      name: 'user and password of the URL',
      url: 'http://u:p%40w@h:5000',
      given: {},
      expected: basic('u:p@w'),
    },
    {
      name: 'user and password beside it',
      url: 'http://u:p@h:5000',
      given: { user: 'a', password: 'b' },
      expected: basic('a:b'),
    },
    {
      name: 'a token before all',
      url: 'http://u:p@h',
      given: { token: 't', user: 'a' },
      expected: 'Bearer t',
    },
  ])('takes credentials: $name', ({ url, given, expected }) => {
    expect(readMlflowUrl(url, given).authorization).toBe(expected)
  })

  it('keeps credentials out of the base and the name', () => {
    const { base, name } = readMlflowUrl('https://u:hush@h:5000/mlflow?x=1')
    expect(`${base.href} ${name}`).toBe('https://h:5000/mlflow/ MLflow at h:5000')
  })

  it.each(['', 'h:5000', 'file:///tmp/mlruns', 'sqlite:///mlflow.db', 'ftp://u:hush@h'])(
    'refuses "%s" without repeating a password',
    (url) => {
      expect(() => readMlflowUrl(url)).toThrow(/is no URL of an MLflow tracking server/)
      expect(() => readMlflowUrl(url)).not.toThrow(/hush/)
    },
  )
})
