/** A terminal line that is overwritten at each update. Prints nothing if stderr is not a terminal. */
export interface ProgressLine {
  update(done: number): void
  end(): void
}

const WIDTH = 30
const REDRAW_MS = 100

/** Bar, count, rate and remaining time of a long task, on stderr so that stdout holds only the result. */
export function showProgress(label: string, total: number | undefined): ProgressLine {
  if (total === undefined || !process.stderr.isTTY) return { update: () => {}, end: () => {} }
  const startedAt = performance.now()
  let drawnAt = 0
  let last = 0
  const draw = (done: number) => {
    const seconds = (performance.now() - startedAt) / 1000
    const line = `${label} ${renderProgress(done, total, seconds)}`
    process.stderr.write(`\r${line.slice(0, process.stderr.columns || 100)}\u001b[K`)
  }
  return {
    update(done) {
      last = done
      if (performance.now() - drawnAt < REDRAW_MS) return
      drawnAt = performance.now()
      draw(done)
    },
    end() {
      draw(last)
      process.stderr.write('\n')
    },
  }
}

/** `████░░ 40 %  400/1000  120/s  5 s left` */
export function renderProgress(done: number, total: number, seconds: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 1
  const filled = Math.round(share * WIDTH)
  const rate = seconds > 0 ? done / seconds : 0
  const left = rate > 0 && done < total ? `  ${toDuration((total - done) / rate)} left` : ''
  const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled)
  return `${bar} ${Math.floor(share * 100)} %  ${done}/${total}  ${Math.round(rate)}/s${left}`
}

function toDuration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`
  if (seconds < 6000) return `${Math.ceil(seconds / 60)} min`
  return `${(seconds / 3600).toFixed(1)} h`
}
