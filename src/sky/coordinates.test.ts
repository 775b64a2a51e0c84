import { describe, expect, it } from 'vitest'
import { fromGalactic, ICECUBE_SITE, type Site, toEquatorial, toGalactic, toLocal } from './coordinates.ts'

const DEGREE = Math.PI / 180

const SITES: Readonly<Record<string, Site>> = {
  icecube: ICECUBE_SITE,
  arca: { latitude: 36.292201, longitude: 15.975552, axis: 0.57747 },
  orca: { latitude: 42.80084, longitude: 6.022281, axis: -2.024209 },
  gvd: { latitude: 51.764, longitude: 104.414, axis: 0 },
  equator: { latitude: 0, longitude: 0, axis: 0 },
}

/**
 * Site, UTC, zenith, azimuth, then ICRS and galactic coordinates, degrees: pyerfa 2.0.1.5 `atoc13` and `icrs2g` with UT1 =
 * UTC, no polar motion and no pressure; astropy 8.0.2 agrees. The first is the event of a public IceCube notice.
 */
const REFERENCE: readonly (readonly [string, string, number, number, number, number, number, number])[] = [
  [
    'icecube',
    '2023-12-02T17:08:24.093230',
    90.047766,
    279.424068,
    138.654568,
    0.141809,
    230.992588,
    31.444369,
  ],
  [
    'icecube',
    '2021-06-30T00:09:28.846106',
    42.332414,
    156.692498,
    213.619684,
    -47.560045,
    317.142897,
    13.007332,
  ],
  ['icecube', '2000-01-01T12:00:00', 90.0, 0.0, 10.46053, -0.002746, 117.682049, -62.776642],
  ['icecube', '2000-01-01T00:00:00', 45.0, 123.456, 66.501423, -44.990541, 250.495621, -44.068273],
  ['icecube', '2016-12-31T23:59:59.5', 100.0, 200.0, 350.621439, 9.910169, 89.696369, -47.140324],
  ['icecube', '2016-12-31T23:59:60.5', 100.0, 200.0, 350.625616, 9.910168, 89.701623, -47.142362],
  ['icecube', '2017-01-01T00:00:00.5', 100.0, 200.0, 350.625616, 9.910168, 89.701623, -47.142362],
  ['icecube', '2010-03-20T17:32:00', 0.0, 0.0, 173.407301, -89.946407, 302.911875, -27.077715],
  ['icecube', '2010-03-20T17:32:00', 180.0, 0.0, 4.641482, 89.946377, 122.923312, 27.075177],
  ['icecube', '2025-06-21T02:42:00', 179.9, 90.0, 340.998901, 89.785832, 122.805102, 26.946292],
  ['icecube', '2025-06-21T02:42:00', 0.005, 300.0, 180.813329, -89.849349, 302.896639, -26.980912],
  ['icecube', '2026-11-30T12:00:00', 95.0, 339.0271, 0.000542, 4.842306, 99.75957, -55.698131],
  ['icecube', '2026-11-30T12:00:00', 95.0, 339.0281, 359.999542, 4.842306, 99.757915, -55.69778],
  ['icecube', '2037-07-04T04:56:07', 60.0, 359.999, 86.227605, -30.017721, 234.755194, -26.659055],
  ['icecube', '2049-12-31T23:59:59.999999', 120.0, 180.0, 10.173263, 29.727438, 120.1477, -33.086218],
  ['arca', '2023-02-13T01:16:47', 89.46, 190.777, 94.231482, -7.872365, 216.095903, -11.227842],
  ['arca', '2024-09-01T01:16:47', 10.0, 45.0, 25.250117, 42.788269, 132.528101, -19.158085],
  ['arca', '2005-10-09T18:00:00', 150.0, 300.0, 95.247003, -59.731683, 268.842555, -26.952288],
  ['arca', '2050-06-01T06:00:00', 75.0, 90.0, 173.643945, 68.977406, 132.835005, 46.645193],
  ['orca', '2024-09-01T01:16:47', 90.0, 0.0, 96.979858, 1.497522, 208.907955, -4.543824],
  ['orca', '2012-06-30T23:59:60.25', 120.0, 77.7, 96.019689, 16.597497, 195.090105, 1.643152],
  ['orca', '2030-02-28T13:14:15.161718', 0.0, 0.0, 2.600445, 42.631141, 114.936496, -19.602636],
  ['orca', '2045-11-11T11:11:11.111111', 180.0, 0.0, 44.395863, -42.98522, 253.058765, -59.973225],
  ['gvd', '2022-02-13T20:06:41', 115.0, 10.0, 302.963349, -13.629088, 29.333403, -23.874929],
  ['gvd', '2035-01-01T00:00:00', 51.764, 90.0, 24.100271, 76.290816, 125.656911, 13.657522],
  ['gvd', '2001-09-11T12:46:40', 33.3, 222.2, 259.921741, 25.354006, 47.772126, 30.577475],
  ['equator', '2020-02-29T12:34:56.789', 90.0, 90.0, 2.306143, 89.88749, 122.90879, 27.017642],
  ['equator', '2040-08-08T08:08:08.080808', 45.0, 0.0, 123.970858, 0.123605, 222.802308, 18.756126],
]

/** A leap second counts as the first second of the next day, as in Unix time. */
function toUtcMs(text: string): number {
  const [, minutes, seconds] = /^(.*:)(\d+(?:\.\d+)?)$/.exec(text) ?? []
  return Date.parse(`${minutes}00Z`) + Number(seconds) * 1000
}

/** Angle between two directions, degrees. */
function apart(a: readonly [number, number], b: readonly [number, number]): number {
  const vector = ([lon, lat]: readonly [number, number]) =>
    [Math.cos(lat) * Math.cos(lon), Math.cos(lat) * Math.sin(lon), Math.sin(lat)] as const
  const [u, v] = [vector(a), vector(b)]
  return (2 * Math.asin(Math.hypot(u[0] - v[0], u[1] - v[1], u[2] - v[2]) / 2)) / DEGREE
}

describe('toEquatorial()', () => {
  it.each(REFERENCE)('agrees with ERFA at %s, %s', (...row) => {
    const [site, utc, zenith, azimuth, ra, dec, l, b] = row
    const local = { zenith: zenith * DEGREE, azimuth: azimuth * DEGREE }
    const found = toEquatorial(local, toUtcMs(utc), SITES[site])
    expect(apart([found.rightAscension, found.declination], [ra * DEGREE, dec * DEGREE])).toBeLessThan(0.0003)
    const galactic = toGalactic(found)
    expect(apart([galactic.longitude, galactic.latitude], [l * DEGREE, b * DEGREE])).toBeLessThan(0.0003)
  })

  it('keeps right ascension within 0 and 2π and is undone by toLocal()', () => {
    let seed = 1
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    for (let i = 0; i < 500; i++) {
      const site = Object.values(SITES)[i % 5]
      const utcMs = Date.UTC(1995) + random() * 60 * 365.25 * 86_400_000
      const local = { azimuth: random() * 2 * Math.PI, zenith: Math.acos(2 * random() - 1) }
      const sky = toEquatorial(local, utcMs, site)
      expect(sky.rightAscension).toBeGreaterThanOrEqual(0)
      expect(sky.rightAscension).toBeLessThan(2 * Math.PI)
      const back = toLocal(sky, utcMs, site)
      const latitude = ({ zenith }: { zenith: number }) => Math.PI / 2 - zenith
      // Aberration is added and removed to first order: the square of 20.5 arc seconds is left.
      expect(apart([back.azimuth, latitude(back)], [local.azimuth, latitude(local)])).toBeLessThan(1e-6)
    }
  })
})

describe('galactic coordinates', () => {
  it.each([
    [0, 0, 266.405, -28.9362],
    [45, 0, 288.4276, 10.7237],
    [90, 0, 318.0044, 48.3296],
    [180, 0, 86.405, 28.9362],
    [270, 0, 138.0044, -48.3296],
  ])('place l %d°, b %d° at %d°, %d°', (l, b, ra, dec) => {
    const { rightAscension, declination } = fromGalactic({ longitude: l * DEGREE, latitude: b * DEGREE })
    expect(rightAscension / DEGREE).toBeCloseTo(ra, 3)
    expect(declination / DEGREE).toBeCloseTo(dec, 3)
    const back = toGalactic({ rightAscension, declination })
    expect(apart([back.longitude, back.latitude], [l * DEGREE, b * DEGREE])).toBeLessThan(1e-7)
  })
})
