// Fastify and fast-jwt, which remembers the tokens that it has verified.
import fastify from 'fastify'
import { createVerifier } from 'fast-jwt'
import { inWorkers } from './cluster.js'
import { issue } from './payload.js'

const verify = createVerifier({
  key: process.env.JWT_KEY,
  algorithms: ['HS256'],
  requiredClaims: ['exp', 'sub'],
  cache: 10_000,
})
const text = { type: 'string' }
const schema = {
  response: {
    200: { type: 'object', properties: { appkey: text, random_str: text, signature: text, timestamp: text } },
  },
}

const app = fastify()
app.decorateRequest('user', null)
app.addHook('onRequest', async (request, reply) => {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  try {
    if (scheme !== 'Bearer') throw new Error('no token')
    request.user = verify(token).sub
  } catch {
    return reply.code(401).send({ message: 'log in first' })
  }
})
app.post('/v1/auth-payload', { schema }, async (request, reply) => {
  reply.header('Cache-Control', 'no-store')
  return issue()
})

inWorkers((port) => app.listen({ port, host: '127.0.0.1' }))
