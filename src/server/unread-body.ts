import type { FastifyInstance } from 'fastify'
import type { ServerLimits } from './limits.ts'

/**
 * A refusal reaches a client that is still sending its body only when somebody goes on reading: closing the connection
 * with unread bytes resets it, and the answer is lost on the way. So the rest is read and thrown away for a while
 * (Node does that by itself once the answer is sent), and then the connection is cut.
 */
export function lingerOnUnreadBodies(app: FastifyInstance, limits: ServerLimits): void {
  const bodyBytesMax = Math.max(limits.jsonBodyBytesMax, limits.binaryBodyBytesMax)
  app.addHook('onResponse', (request, _reply, done) => {
    const { raw } = request
    // Undefined, not false, for a request that never was on a socket (`inject`).
    if (raw.complete === false && !raw.destroyed) {
      const timer = setTimeout(() => raw.socket.destroy(), limits.lingerMs)
      raw.once('close', () => clearTimeout(timer))
    }
    done()
  })
  // A client that asks before it sends (RFC 9110 §10.1.1) gets the refusal instead of the go-ahead.
  app.server.on('checkContinue', (request, response) => {
    if (!(Number(request.headers['content-length']) > bodyBytesMax)) response.writeContinue()
    app.server.emit('request', request, response)
  })
}
