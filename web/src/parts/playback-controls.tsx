import { formatRate } from '../format.ts'
import { usePage } from '../page-context.ts'
import { PLAY_MS } from '../player.ts'
import type { Scene } from '../scene.ts'
import { useStore } from '../store.ts'

export function PlaybackControls() {
  const page = usePage()
  const { playback } = page
  const isPlaying = useStore(playback.store, (state) => state.player.isPlaying)
  const isFollowing = useStore(playback.store, (state) => state.player.isFollowing)
  const speed = useStore(playback.store, (state) => state.player.speed)
  const key = useStore(playback.store, (state) => state.event?.key)
  const scene = useStore(playback.store, (state) => state.scene)
  return (
    <div className="controls">
      <div className="group">
        <Button name="Newer event" hint="K" onClick={() => page.chooseNext(-1)}>
          <path d="M12 5 6 12l6 7M19 5l-6 7 6 7" />
        </Button>
        <Button name="Step back" hint="," onClick={() => playback.step(-1)}>
          <path d="M14 6l-6 6 6 6" />
        </Button>
        <Button name={isPlaying ? 'Pause' : 'Play'} hint="Space" isStrong onClick={() => playback.toggle()}>
          {isPlaying ? <path d="M9 6v12M15 6v12" /> : <path d="M8 5.5v13L18.5 12z" className="filled" />}
        </Button>
        <Button name="Step on" hint="." onClick={() => playback.step(1)}>
          <path d="M10 6l6 6-6 6" />
        </Button>
        <Button name="Older event" hint="J" onClick={() => page.chooseNext(1)}>
          <path d="M5 5l6 7-6 7M12 5l6 7-6 7" />
        </Button>
      </div>
      <div className="group">
        <button
          type="button"
          className="button is-small"
          aria-label="Slower"
          title="Slower  ["
          onClick={() => playback.changeSpeed(-1)}
        >
          −
        </button>
        <output className="speed" aria-label="Speed">
          {speed < 1 ? `1/${1 / speed}` : speed} ×
        </output>
        <button
          type="button"
          className="button is-small"
          aria-label="Faster"
          title="Faster  ]"
          onClick={() => playback.changeSpeed(1)}
        >
          +
        </button>
      </div>
      <button
        type="button"
        className="button follow"
        aria-pressed={isFollowing}
        title="Follow the newest events  F"
        onClick={() => (isFollowing ? playback.stopFollowing() : page.follow())}
      >
        <i aria-hidden="true" />
        Follow
      </button>
      {key && !isFollowing && (
        <button
          type="button"
          className="button"
          onClick={() => page.choose(key)}
          title="Puts the address of this event into the address bar"
        >
          Link
        </button>
      )}
      <p className="timeline-note quiet">
        colour: first light in a sensor · height: charge{scene && ` · ${slowness(scene, speed)}`}
      </p>
    </div>
  )
}

function slowness({ window }: Scene, speed: number): string {
  const factor = (PLAY_MS * 1e6) / (window.toNs - window.fromNs) / speed
  return `${formatRate(factor / 1e6)} million times slower`
}

interface ButtonProps {
  readonly name: string
  readonly hint: string
  readonly isStrong?: boolean
  readonly onClick: () => void
  readonly children: React.ReactNode
}

function Button({ name, hint, isStrong = false, onClick, children }: ButtonProps) {
  return (
    <button
      type="button"
      className={`button is-icon${isStrong ? ' is-strong' : ''}`}
      aria-label={name}
      title={`${name}  ${hint}`}
      onClick={onClick}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true">
        {children}
      </svg>
    </button>
  )
}
