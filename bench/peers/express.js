// Express and jsonwebtoken. KEY_FORM=object makes the key once, as a KeyObject; KEY_FORM=string passes the secret as it
// is, as most examples do: jsonwebtoken then tries to read it as a public key first, at every request.
import { createSecretKey } from 'node:crypto'
import express from 'express'
import jwt from 'jsonwebtoken'
import { inWorkers } from './cluster.js'
import { issue } from './payload.js'

const secret = process.env.JWT_KEY
const key = process.env.KEY_FORM === 'object' ? createSecretKey(Buffer.from(secret)) : secret

function authenticate(req, res, next) {
  const [scheme, token] = (req.get('Authorization') ?? '').split(' ')
  if (scheme !== 'Bearer' || !token) return res.status(401).json({ message: 'log in first' })
  try {
    const claims = jwt.verify(token, key, { algorithms: ['HS256'] })
    if (typeof claims.exp !== 'number' || typeof claims.sub !== 'string') throw new Error('exp and sub are required')
    req.user = claims.sub
  } catch {
    return res.status(401).json({ message: 'the token is bad' })
  }
  next()
}

const app = express()
app.use(express.json())
app.post('/v1/auth-payload', authenticate, (req, res) => {
  res.set('Cache-Control', 'no-store').json(issue())
})

inWorkers((port) => app.listen(port, '127.0.0.1'))
