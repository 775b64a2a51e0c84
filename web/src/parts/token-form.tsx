import { type FormEvent, useState } from 'react'
import { usePage } from '../page-context.ts'

export function TokenForm() {
  const page = usePage()
  const [fault, setFault] = useState<string | undefined>(undefined)
  const [isAsking, setIsAsking] = useState(false)
  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const token = new FormData(event.currentTarget).get('token')
    setIsAsking(true)
    try {
      setFault(await page.giveToken(String(token)))
    } catch {
      setFault('the service does not answer')
    }
    setIsAsking(false)
  }
  return (
    <main className="token">
      <form onSubmit={(event) => void onSubmit(event)}>
        <h2>This page requires a token</h2>
        <label htmlFor="token">Ask the person who runs nustream for it.</label>
        <input id="token" name="token" type="password" required autoComplete="current-password" />
        <button type="submit" className="button is-strong" disabled={isAsking}>
          Open
        </button>
        <p role="alert">{fault}</p>
      </form>
    </main>
  )
}
