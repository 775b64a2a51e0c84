import type { Command } from 'commander'
import { z } from 'zod'
import type { ReaderBroker } from '../broker/contract.ts'
import { createDisplay, type Display } from '../display/display.ts'
import { displayMetrics } from '../display/metrics.ts'
import type { TelemetryServer } from '../telemetry/server.ts'
import { addCommand } from './command.ts'
import { brokerHealth, openRoleBroker, type Role, type RoleConfig, runRole } from './role.ts'
import { accessSettings, brokerSettings, roleSettings } from './settings.ts'
import { packageVersion } from './version.ts'

/** The default port of the page. */
export const DISPLAY_PORT = 8080

export const displaySettings = {
  allowedHosts: accessSettings.allowedHosts,
  displayToken: z
    .string()
    .min(1)
    .optional()
    .describe('token required to open the page; separate several by commas (default: no token)')
    .meta({ secret: true }),
  port: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe(
      `port of the page, /metrics and /health (default: ${DISPLAY_PORT}, or a free port if that is in use); 0 takes any free port`,
    )
    .meta({ value: 'port' }),
}

export function add(program: Command): void {
  addCommand(program, {
    name: 'display',
    summary: 'show the stream in a web page',
    description:
      'Serves a page that shows events in the detector, the sky, throughput, latency, and the health of every process. It only reads: any number of displays may run, and none slows the stream.',
    examples: [
      'nustream display --broker redis://127.0.0.1:6379',
      'NUSTREAM_DISPLAY_TOKEN=secret nustream display --broker redis://127.0.0.1:6379 --host 0.0.0.0',
    ],
    shape: { ...displaySettings, ...brokerSettings, ...roleSettings },
    run: (config) =>
      runRole('display', withPort(config), async (role) => {
        const broker = await openRoleBroker(config, role)
        const display = createRoleDisplay(broker, role, config)
        const server = await role.watch({
          broker,
          health: () => brokerHealth(broker, {}),
          open: (options) => display.openServer(options),
        })
        sayIfMoved(config, server)
        console.error(`page at ${server.url}/`)
        await display.run()
      }),
  })
}

/** If the default port is in use, a free port is taken; a chosen port that is in use is an error. */
export function withPort<T extends { readonly port?: number | undefined }>(
  config: T,
): T & Pick<RoleConfig, 'port' | 'portIfTaken'> {
  return config.port === undefined
    ? { ...config, port: DISPLAY_PORT, portIfTaken: 0 }
    : { ...config, port: config.port }
}

/** Reports when another port is used because the default port is in use. */
export function sayIfMoved(config: { readonly port?: number | undefined }, { port }: TelemetryServer): void {
  if (config.port === undefined && port !== DISPLAY_PORT)
    console.error(`port ${DISPLAY_PORT} is in use; a free port was chosen`)
}

export interface DisplayConfig {
  readonly displayToken?: string | undefined
  readonly allowedHosts: readonly string[]
}

export function createRoleDisplay(
  broker: ReaderBroker,
  role: Role,
  { displayToken, allowedHosts }: DisplayConfig,
): Display {
  return createDisplay({
    broker,
    version: packageVersion(),
    token: displayToken,
    allowedHosts,
    metrics: displayMetrics(role.registry),
    log: role.log,
    signal: role.signal,
  })
}
