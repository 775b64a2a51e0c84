import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { addCommand } from './command.ts'
import { jsonSetting } from './settings.ts'

export function addModels(program: Command): void {
  addCommand(program, {
    name: 'models',
    summary: 'list, show and verify model folders',
    examples: ['nustream models list'],
    arguments: [{ spec: '<action>', description: 'list' }],
    shape: { folder: z.string().optional().meta({ value: 'x' }), ...jsonSetting },
    run: async () => {
      throw new UsageError('flag_invalid', 'x')
    },
  })
}
