import { useEffect, useRef } from 'react'
import { scaleColour, toCss } from '../colour.ts'
import { formatMicroseconds } from '../format.ts'
import { usePage } from '../page-context.ts'
import { plainContext } from '../plain-canvas.ts'
import { STEPS } from '../player.ts'
import type { Scene } from '../scene.ts'
import { useStore } from '../store.ts'
import { useSize } from './use-size.ts'

const TICKS = 4

/** Charge over time in the colours of the detector: explains the colours and controls the time. */
export function Timeline() {
  const page = usePage()
  const scene = useStore(page.playback.store, (state) => state.scene)
  const [box, { width, height }] = useSize<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  const head = useRef<HTMLDivElement>(null)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const context = canvas.current && plainContext(canvas.current)
    if (!canvas.current || !context || width === 0) return
    const ratio = Math.min(2, devicePixelRatio)
    canvas.current.width = width * ratio
    canvas.current.height = height * ratio
    context.scale(ratio, ratio)
    if (scene) drawCharge(context, scene, { width, height })
  }, [scene, width, height])
  // The playhead moves with every frame, so it bypasses React.
  useEffect(() => {
    const place = () => {
      const { player, scene: shown } = page.playback.store.get()
      if (head.current) head.current.style.transform = `translateX(${player.share * width}px)`
      const step = String(Math.round(player.share * STEPS))
      if (!input.current || !shown || input.current.value === step) return
      input.current.value = step
      const ns = player.share * (shown.window.toNs - shown.window.fromNs)
      input.current.setAttribute('aria-valuetext', formatMicroseconds(ns))
    }
    place()
    return page.playback.store.subscribe(place)
  }, [page, width])
  const lengthNs = scene ? scene.window.toNs - scene.window.fromNs : 0
  return (
    <div className="timeline">
      <div ref={box} className="timeline-box">
        <div aria-hidden="true">
          <canvas ref={canvas} />
          <div ref={head} className="playhead" />
        </div>
        <input
          ref={input}
          type="range"
          min={0}
          max={STEPS}
          defaultValue={0}
          aria-label="Time of the event"
          disabled={!scene}
          onInput={({ currentTarget }) => page.playback.moveTo(Number(currentTarget.value) / STEPS)}
        />
      </div>
      <ol className="ticks" aria-hidden="true">
        {scene &&
          Array.from({ length: TICKS + 1 }, (_, i) => i / TICKS).map((share) => (
            <li key={share}>{formatMicroseconds(share * lengthNs)}</li>
          ))}
      </ol>
    </div>
  )
}

/** Bars in proportion to the square root of the charge, on a band that shows the whole scale. */
function drawCharge(
  context: CanvasRenderingContext2D,
  { charge }: Scene,
  { width, height }: { readonly width: number; readonly height: number },
): void {
  const band = 5
  const step = width / charge.length
  const highest = Math.sqrt(Math.max(...charge, 1e-9))
  for (const [i, sum] of charge.entries()) {
    context.fillStyle = toCss(scaleColour((i + 0.5) / charge.length))
    context.fillRect(i * step, height - band, step + 0.5, band)
    const high = (Math.sqrt(sum) / highest) * (height - band - 3)
    if (high > 0) context.fillRect(i * step, height - band - 1 - high, Math.max(1, step - 1), high)
  }
}
