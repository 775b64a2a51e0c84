import { afterEach, describe, expect, it, vi } from 'vitest'
import { SetupError } from './process.ts'
import { ensureProgram } from './programs.ts'

afterEach(() => vi.unstubAllEnvs())

describe('ensureProgram()', () => {
  it('does nothing for a program that is there', async () => {
    await ensureProgram('node')
  })

  it('names the package of a program that is missing where it cannot be installed, in one sentence', async () => {
    // No apt-get is found either.
    vi.stubEnv('PATH', '')
    const asked = ensureProgram('no-such-program', 'no-such-package')
    await expect(asked).rejects.toThrow(SetupError)
    await expect(asked).rejects.toThrow(
      /^no-such-package is missing: install the package no-such-package .*$/,
    )
  })
})
