import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** A Lua script with the digest that the server knows it by. */
export interface Script {
  readonly lua: string
  readonly sha: string
}

/** Reads `scripts/NAME.lua`. The line `-- @include A B` in it stands for the text of `scripts/lib/A.lua` and `B.lua`. */
function load(name: string): Script {
  const lua = textOf(`${name}.lua`).replace(/^-- @include (.+)$/m, (_, parts: string) =>
    parts
      .split(' ')
      .map((part) => textOf(`lib/${part}.lua`))
      .join(''),
  )
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}

function textOf(file: string): string {
  return readFileSync(new URL(`scripts/${file}`, import.meta.url), 'utf8')
}

/** Every step that touches more than one key, or that must work on a full Redis. Each file says what it does. */
export const SCRIPTS = {
  backlog: load('backlog'),
  beat: load('beat'),
  group: load('group'),
  heartbeats: load('heartbeats'),
  hold: load('hold'),
  publish: load('publish'),
  release: load('release'),
  renew: load('renew'),
  replay: load('replay'),
  settle: load('settle'),
  split: load('split'),
  streamId: load('stream-id'),
  trim: load('trim'),
  writable: load('writable'),
} as const satisfies Record<string, Script>
