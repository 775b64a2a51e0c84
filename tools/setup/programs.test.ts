import { afterEach, describe, expect, it, vi } from 'vitest'
import { SetupError } from './process.ts'
import { ensureProgram } from './programs.ts'

afterEach(() => vi.unstubAllEnvs())

describe('ensureProgram()', () => {
  it('does nothing for an installed program', async () => {
    await ensureProgram('node')
  })

  it('names in one sentence the package of a missing program that cannot be installed', async () => {
    // apt-get is not found either.
    vi.stubEnv('PATH', '')
    const asked = ensureProgram('no-such-program', 'no-such-package')
    await expect(asked).rejects.toThrow(SetupError)
    await expect(asked).rejects.toThrow(
      /^no-such-package is missing: install the package no-such-package .*$/,
    )
  })
})
