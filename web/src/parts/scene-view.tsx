import { useEffect, useRef, useState } from 'react'
import { Drawing, type DrawingElements } from '../draw/draw.ts'
import { FrameLoop } from '../frame-loop.ts'
import { type Command, commandOf } from '../keyboard.ts'
import type { Page } from '../page.ts'
import { usePage } from '../page-context.ts'
import { FINEST, SENSOR_SHARES, withMeasure } from '../quality.ts'
import { useSize } from './use-size.ts'

const TURN_RAD = 0.09
const ZOOM = 1.12
/** A view that has not changed for this long is at rest. */
const VIEW_RESTS_MS = 120
const HELD_MS = 100

/** The canvas of the detector. Frames are drawn during motion, and otherwise after a change. */
export function SceneView() {
  const page = usePage()
  const [box, size] = useSize<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  const backdrop = useRef<HTMLCanvasElement>(null)
  const labels = useRef<HTMLDivElement>(null)
  const running = useRef<RunningScene>(undefined)
  const [fault, setFault] = useState<string | undefined>(undefined)
  const [level, setLevel] = useState(0)
  useEffect(() => {
    if (!canvas.current || !backdrop.current || !labels.current) return
    const stage = labels.current.closest('.stage')
    const elements = {
      canvas: canvas.current,
      backdrop: backdrop.current,
      labels: labels.current,
      obstacles: () => [...(stage?.querySelectorAll('.facts, .legend') ?? [])],
    }
    try {
      const made = runScene(page, elements, setLevel)
      running.current = made
      return made.end
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error))
      return
    }
  }, [page])
  useEffect(() => {
    if (size.width > 0 && size.height > 0) running.current?.setSize(size.width, size.height)
  }, [size])
  return (
    <div ref={box} className="scene-box">
      <div aria-hidden="true">
        <canvas ref={backdrop} />
      </div>
      {/* The element is focusable so that arrow keys can belong to it, and says what it shows. */}
      <canvas
        ref={canvas}
        tabIndex={0}
        role="img"
        aria-label="The detector in three dimensions; arrow keys turn it, + and − zoom, R resets the view"
      />
      <div ref={labels} className="labels" aria-hidden="true" />
      {fault && <p className="fault">The detector cannot be drawn: this browser has no WebGL ({fault}).</p>}
      {level > 0 && <p className="resolution">{SENSOR_SHARES[level] * 100} % of the sensors while turning</p>}
    </div>
  )
}

interface RunningScene {
  setSize(width: number, height: number): void
  end(): void
}

function runScene(
  { playback }: Page,
  elements: DrawingElements,
  setLevel: (level: number) => void,
): RunningScene {
  let { scene, player } = playback.store.get()
  let quality = FINEST
  let viewedAtMs = 0
  const drawing = new Drawing(elements, () => {
    viewedAtMs = performance.now()
    loop.request()
  })
  const loop = new FrameLoop((elapsedMs) => {
    playback.tick(elapsedMs)
    const isTurning = drawing.eye.advance(elapsedMs) || performance.now() - viewedAtMs < VIEW_RESTS_MS
    const { isPlaying, share } = playback.player
    drawing.setShare(share)
    setLevel(isTurning ? quality.level : 0)
    drawing.render(isTurning ? SENSOR_SHARES[quality.level] : 1)
    return { isMoving: isTurning || (isPlaying && share < 1), isMeasured: isTurning }
  })
  loop.onMeasure = (frameMs) => {
    quality = withMeasure(quality, frameMs)
  }
  drawing.setScene(scene, playback.isMotionReduced)
  const unsubscribe = playback.store.subscribe(() => {
    const next = playback.store.get()
    const isSame = next.scene === scene && next.player.share === player.share
    if (next.scene !== scene) drawing.setScene(next.scene, playback.isMotionReduced)
    if (!isSame || next.player.isPlaying !== player.isPlaying) loop.request()
    scene = next.scene
    player = next.player
  })
  // While the complete event is shown no frames are drawn, but a turn of the view must end.
  const isHeld = () => playback.player.isPlaying && playback.player.share === 1
  const held = setInterval(() => isHeld() && playback.tick(HELD_MS), HELD_MS)
  const stopKeys = listenForKeys(drawing, loop)
  return {
    setSize: (width, height) => {
      drawing.setSize(width, height, Math.min(2, devicePixelRatio))
      loop.request()
    },
    end: () => {
      clearInterval(held)
      stopKeys()
      unsubscribe()
      loop.end()
      drawing.dispose()
    },
  }
}

function listenForKeys({ eye }: Drawing, loop: FrameLoop): () => void {
  const does: Partial<Record<Command, () => void>> = {
    'turn-left': () => eye.orbit(-TURN_RAD, 0),
    'turn-right': () => eye.orbit(TURN_RAD, 0),
    'turn-up': () => eye.orbit(0, TURN_RAD),
    'turn-down': () => eye.orbit(0, -TURN_RAD),
    'zoom-in': () => eye.zoom(1 / ZOOM),
    'zoom-out': () => eye.zoom(ZOOM),
    'reset-view': () => eye.reset(),
  }
  const onKey = (event: KeyboardEvent) => {
    const { target } = event
    const tag = target instanceof HTMLElement ? target.tagName : ''
    // Lists scroll with the arrows when they are focused.
    if (target instanceof HTMLElement && target.closest('.list, [role=tablist], dialog, ul')) return
    const command = commandOf(event, {
      tag,
      ...(target instanceof HTMLInputElement && { type: target.type }),
    })
    const act = command && does[command]
    if (!act) return
    event.preventDefault()
    act()
    loop.request()
  }
  addEventListener('keydown', onKey)
  return () => removeEventListener('keydown', onKey)
}
