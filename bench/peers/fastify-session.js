// Fastify and @fastify/secure-session: the session is in the cookie, encrypted by libsodium.
import { createHash } from 'node:crypto'
import fastify from 'fastify'
import secureSession from '@fastify/secure-session'
import { inWorkers } from './cluster.js'
import { issue } from './payload.js'

const text = { type: 'string' }
const schema = {
  response: {
    200: { type: 'object', properties: { appkey: text, random_str: text, signature: text, timestamp: text } },
  },
}

const app = fastify()
app.register(secureSession, {
  key: createHash('sha256').update(process.env.SESSION_KEY).digest(),
  cookie: { path: '/', httpOnly: true, sameSite: 'lax' },
})
app.post('/login', async (request) => {
  request.session.set('user', request.body.user)
  return {}
})
app.post('/v1/auth-payload', { schema }, async (request, reply) => {
  if (!request.session.get('user')) return reply.code(401).send({ message: 'log in first' })
  reply.header('Cache-Control', 'no-store')
  return issue()
})

inWorkers((port) => app.listen({ port, host: '127.0.0.1' }))
