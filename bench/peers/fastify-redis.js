// Fastify and ioredis: verify a payload (shape, signature, time) and claim it, good once.
import { timingSafeEqual } from 'node:crypto'
import fastify from 'fastify'
import Redis from 'ioredis'
import { inWorkers } from './cluster.js'
import { appkey, sign } from './payload.js'

const MAX_AGE_MS = 600_000
const MAX_SKEW_MS = 30_000
const verifierKey = Buffer.from(process.env.VERIFIER_KEY)
const body = {
  type: 'object',
  required: ['appkey', 'random_str', 'signature', 'timestamp'],
  additionalProperties: false,
  properties: {
    appkey: { type: 'string' },
    random_str: { type: 'string', pattern: '^[A-Za-z0-9_-]{20,36}$' },
    signature: { type: 'string', pattern: '^[0-9A-Fa-f]{32}$' },
    timestamp: { type: 'string', pattern: '^[1-9][0-9]{12}$' },
  },
}

function isEqual(given, expected) {
  return given.length === expected.length && timingSafeEqual(given, expected)
}

function serve(port) {
  const redis = new Redis(process.env.REDIS_URL)
  const app = fastify()
  app.addHook('onRequest', async (request, reply) => {
    const [scheme, token] = (request.headers.authorization ?? '').split(' ')
    if (scheme !== 'Bearer' || !isEqual(Buffer.from(token ?? ''), verifierKey)) {
      return reply.code(401).send({ message: 'a verifier key is needed' })
    }
  })
  app.post('/v1/auth-payload/verify', { schema: { body } }, async (request, reply) => {
    const { appkey: given, random_str: randomStr, signature, timestamp } = request.body
    reply.header('Cache-Control', 'no-store')
    if (given !== appkey) return reply.code(404).send({ message: 'not our appkey' })
    if (!isEqual(Buffer.from(signature.toLowerCase()), Buffer.from(sign(timestamp, randomStr)))) {
      return reply.code(422).send({ message: 'bad signature' })
    }
    const ageMs = Date.now() - Number(timestamp)
    if (ageMs >= MAX_AGE_MS || ageMs < -MAX_SKEW_MS) return reply.code(422).send({ message: 'not now' })
    const keepMs = MAX_AGE_MS - ageMs + 2 * MAX_SKEW_MS
    const won = await redis.set(`verify:${appkey}:${randomStr}`, timestamp, 'PX', keepMs, 'NX')
    if (won === null) return reply.code(409).send({ message: 'replayed' })
    return { valid: true, appkey, expires_at_ms: Number(timestamp) + MAX_AGE_MS }
  })
  app.listen({ port, host: '127.0.0.1' })
}

inWorkers(serve)
