import { usePage } from '../page-context.ts'
import { chargeRadius } from '../pulse-columns.ts'
import { useStore } from '../store.ts'

const CHARGES = [1, 10, 100]
/** Radius of the largest symbol in the legend, in units of 1/24 of its height. */
const LARGEST = 10

/** Explains sizes, lines and arrow heads; the time line explains colours. */
export function Legend() {
  const page = usePage()
  const roles = useStore(
    page.playback.store,
    (state) => state.scene?.lines.map((line) => line.role).join(' ') ?? '',
  )
  const hasCones = useStore(page.playback.store, (state) => (state.scene?.cones.length ?? 0) > 0)
  return (
    <ul className="legend" aria-label="Legend">
      <li>
        <svg viewBox="0 0 76 24" aria-hidden="true" className="sizes">
          {CHARGES.map((charge, i) => (
            <circle
              key={charge}
              cx={8 + 26 * i}
              cy="12"
              r={(chargeRadius(charge) / chargeRadius(100)) * LARGEST}
            />
          ))}
        </svg>
        size: charge, {CHARGES.join(', ')} p.e.
      </li>
      <li>
        <svg viewBox="0 0 76 24" aria-hidden="true" className="line ring">
          <circle cx="38" cy="12" r="4.5" />
        </svg>
        ring: low-quality pulses only
      </li>
      <li>
        <svg viewBox="0 0 76 24" aria-hidden="true" className="line reconstructed">
          <path d="M4 12H62" />
          <path d="M72 12 60 7.5v9z" className="filled" />
        </svg>
        reconstructed, way of travel
      </li>
      {roles.includes('truth') && (
        <li>
          <svg viewBox="0 0 76 24" aria-hidden="true" className="line truth">
            <path d="M4 12H70" strokeDasharray="12 7" />
            <path d="M61 6 71 12 61 18" />
          </svg>
          truth
        </li>
      )}
      {roles.includes('reference') && (
        <li>
          <svg viewBox="0 0 76 24" aria-hidden="true" className="line reference">
            <path d="M4 12H70" strokeDasharray="7 5" />
            <path d="M70 6V18" />
          </svg>
          reference
        </li>
      )}
      {roles.includes('line-fit') && (
        <li>
          <svg viewBox="0 0 76 24" aria-hidden="true" className="line line-fit">
            <path d="M4 12H60" strokeDasharray="2 5" />
            <path d="M66 6 72 12 66 18 60 12z" />
          </svg>
          line fit
        </li>
      )}
      {hasCones && (
        <li>
          <svg viewBox="0 0 76 24" aria-hidden="true" className="line cones">
            <ellipse cx="12" cy="12" rx="4" ry="6" />
            <ellipse cx="12" cy="12" rx="7.5" ry="11" strokeDasharray="3.5 2.5" />
            <path d="M13 1 60 12 13 23M12.5 6 60 12 12.5 18" className="thin" />
          </svg>
          came from within: 50 %, 90 % dashed
        </li>
      )}
    </ul>
  )
}
