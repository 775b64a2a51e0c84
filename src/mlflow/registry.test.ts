import { expect, it } from 'vitest'
import { proxyPath } from './artifacts.ts'
import { parseRegistrySpec } from './registry.ts'

it.each([
  { spec: 'models:/direction@champion', expected: { name: 'direction', alias: 'champion' } },
  { spec: 'models:/my.model-2/17', expected: { name: 'my.model-2', version: '17' } },
])('reads $spec', ({ spec, expected }) => {
  expect(parseRegistrySpec(spec)).toEqual(expected)
})

it.each([
  'models:/',
  'models:/a',
  'models:/a/b',
  'models:/a@',
  'models:/a/1/2',
  'models:/../1@x',
  'models://a@b',
])('refuses %s with an example of what is right', (spec) => {
  expect(() => parseRegistrySpec(spec)).toThrow(/models:\/direction@champion/)
})

it.each([
  { uri: 'mlflow-artifacts:/1/abc/artifacts', path: '1/abc/artifacts' },
  { uri: 'mlflow-artifacts://host:5000/1/abc/artifacts/', path: '1/abc/artifacts' },
])('$uri is $path of the proxy', ({ uri, path }) => {
  expect(proxyPath(uri)).toBe(path)
})

it('artefacts elsewhere are named with the remedy', () => {
  expect(() => proxyPath('s3://bucket/1')).toThrow(/--serve-artifacts/)
})
