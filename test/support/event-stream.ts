import type { StreamMessageName, StreamMessages } from '../../src/display/messages.ts'
import type { Owner } from './redis.ts'

export interface EventStream {
  /** All messages of a name so far. */
  all<Name extends StreamMessageName>(name: Name): StreamMessages[Name][]
  /** Resolves when the server has ended it. */
  readonly ended: Promise<void>
  close(): void
}

/** Listens to server-sent events as a browser does; ends with the owner. */
export async function listenTo(
  url: string,
  owner?: Owner,
  headers: Readonly<Record<string, string>> = {},
): Promise<EventStream> {
  const stop = new AbortController()
  owner?.onTestFinished(async () => stop.abort())
  const response = await fetch(url, { headers, signal: stop.signal })
  if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}`)
  const messages: { readonly name: string; readonly data: unknown }[] = []
  const ended = readBlocks(response.body, (name, data) => messages.push({ name, data })).catch(
    () => undefined,
  )
  return {
    // The server sends the types of messages.ts; tests check the values.
    all: <Name extends StreamMessageName>(name: Name) =>
      messages.filter((message) => message.name === name).map(({ data }) => data as StreamMessages[Name]),
    ended,
    close: () => stop.abort(),
  }
}

async function readBlocks(
  body: ReadableStream<Uint8Array>,
  take: (name: string, data: unknown) => void,
): Promise<void> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const name = /^event: (.+)$/m.exec(block)?.[1]
      const data = /^data: (.+)$/m.exec(block)?.[1]
      if (name !== undefined && data !== undefined) take(name, JSON.parse(data))
    }
  }
}
