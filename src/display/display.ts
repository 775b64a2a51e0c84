import type { Logger } from 'pino'
import type { ReaderBroker } from '../broker/contract.ts'
import { listen } from '../telemetry/listen.ts'
import type { TelemetryOptions, TelemetryServer } from '../telemetry/server.ts'
import { Browsers } from './browsers.ts'
import { DISPLAY_DEFAULTS, type DisplaySettings } from './messages.ts'
import type { DisplayMetrics } from './metrics.ts'
import { buildDisplayServer } from './server.ts'
import { View } from './view.ts'
import { Watch } from './watch.ts'

export interface DisplayOptions {
  readonly broker: ReaderBroker
  /** Version of nustream, shown on the page. */
  readonly version: string
  /** As `DisplayServerOptions`. */
  readonly token?: string | undefined
  readonly allowedHosts?: readonly string[]
  readonly browsersMax?: number
  readonly pageFolder?: string
  readonly settings?: Partial<Omit<DisplaySettings, 'version'>>
  readonly metrics: DisplayMetrics
  readonly log: Logger
  readonly signal: AbortSignal
}

export interface Display {
  /** Reads the stream until the signal aborts. */
  run(): Promise<void>
  /** Sends the last figures of a drained stream. */
  lastLook(): Promise<void>
  /** Serves the page, with /metrics and /health on the same port. @throws UsageError `port_taken` */
  openServer(options: TelemetryOptions): Promise<TelemetryServer>
}

const BROWSERS_MAX = 500

/** A view of the stream for browsers. Memory is bounded by its settings, whatever the stream and the browsers do. */
export function createDisplay(options: DisplayOptions): Display {
  const { broker, version, metrics, log, signal, browsersMax = BROWSERS_MAX } = options
  const browsers = new Browsers(metrics, browsersMax)
  const view = new View({ ...DISPLAY_DEFAULTS, ...options.settings, version }, browsers)
  const watch = new Watch({ broker, view, metrics, log, signal })
  return {
    run: () => watch.run(),
    lastLook: () => watch.lastLook(),
    openServer: async ({ registry, health, ...where }) => {
      const { token, pageFolder, allowedHosts } = options
      const page = pageFolder === undefined ? {} : { pageFolder }
      const app = buildDisplayServer({
        view,
        browsers,
        token,
        host: where.host,
        allowedHosts,
        ...page,
        registry,
        health,
        log,
      })
      const listening = await listen(app, where)
      const close = () => app.close()
      return { ...listening, close, [Symbol.asyncDispose]: close }
    },
  }
}
