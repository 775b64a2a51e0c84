import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'

/**
 * Gives the calling thread, not its process, the lowest priority, so that it runs where nobody else would. Only Linux
 * has priorities of threads; elsewhere nothing happens.
 */
export function giveWay(): void {
  try {
    // The link reads PID/task/TID, and Linux takes a thread's number where a process's is asked for.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(thread, constants.priority.PRIORITY_LOW)
  } catch {
    // Not Linux, or not allowed: the thread competes like any other.
  }
}
