import { type MouseEvent, useEffect, useRef } from 'react'
import { CIRCLES_MAX, drawSky, type SkyTargets } from '../draw-sky.ts'
import { formatCount } from '../format.ts'
import { usePage } from '../page-context.ts'
import { plainContext } from '../plain-canvas.ts'
import { frameOf, nearest } from '../sky.ts'
import { useStore } from '../store.ts'
import { useSize } from './use-size.ts'

const REACH_PX = 12
const FRAMES = { detector: 'detector coordinates', equatorial: 'equatorial coordinates (ICRS)' }

export function SkyPanel() {
  const page = usePage()
  const points = useStore(page.stream, (state) => state.sky)
  const shown = useStore(page.playback.store, (state) => state.event)
  const [box, { width, height }] = useSize<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  const targets = useRef<SkyTargets>([])
  useEffect(() => {
    const context = canvas.current && plainContext(canvas.current)
    if (!canvas.current || !context || width === 0) return
    const ratio = Math.min(2, devicePixelRatio)
    // Setting the size clears the canvas, even to the same size.
    if (canvas.current.width !== width * ratio) canvas.current.width = width * ratio
    if (canvas.current.height !== height * ratio) canvas.current.height = height * ratio
    targets.current = drawSky(context, { points, shown, width, height, ratio })
  }, [points, shown, width, height])
  const onClick = ({ nativeEvent }: MouseEvent) => {
    const at = nearest(targets.current, [nativeEvent.offsetX, nativeEvent.offsetY], REACH_PX)
    const key = at === undefined ? undefined : points.key[at]
    if (key) page.choose(key)
  }
  const frame = frameOf(points)
  const count = points.azimuth.length
  const withCircle = points.kappa.some((kappa) => kappa !== null)
  return (
    <section className="panel sky" aria-labelledby="sky-title">
      <header className="panel-head">
        <h2 id="sky-title">Directions on the sky</h2>
        <p className="quiet">{FRAMES[frame]} · equal area</p>
      </header>
      <div ref={box} className="sky-box">
        <canvas
          ref={canvas}
          role="img"
          aria-label={`Sky map, ${FRAMES[frame]}: directions of the last ${count} sampled events`}
          onClick={onClick}
        />
      </div>
      <p className="key-line quiet">
        <span>
          <svg viewBox="0 0 12 12" aria-hidden="true" className="sign dot">
            <rect x="4.5" y="4.5" width="3" height="3" />
          </svg>
          last {formatCount(count)} sampled
        </span>
        {withCircle && (
          <span>
            <svg viewBox="0 0 12 12" aria-hidden="true" className="sign circle">
              <circle cx="6" cy="6" r="4.5" />
            </svg>
            holds 50 %, newest {CIRCLES_MAX}
          </span>
        )}
        <span>
          <svg viewBox="0 0 12 12" aria-hidden="true" className="sign shown">
            <circle cx="6" cy="6" r="4.5" />
          </svg>
          this event
        </span>
        {shown?.truth && (
          <span>
            <svg viewBox="0 0 12 12" aria-hidden="true" className="sign truth">
              <path d="M2 2 10 10M10 2 2 10" />
            </svg>
            its truth
          </span>
        )}
        {shown?.reference && (
          <span>
            <svg viewBox="0 0 12 12" aria-hidden="true" className="sign reference">
              <path d="M6 1V11M1 6H11" />
            </svg>
            its reference
          </span>
        )}
        <span className="axis-note">
          {frame === 'detector' ? 'numbers: azimuth; up: zenith 0°' : 'numbers: right ascension; up: north'}
        </span>
      </p>
    </section>
  )
}
