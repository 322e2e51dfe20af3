// Express and express-session with its own store, which is the memory of one process: so this peer has one worker.
import express from 'express'
import session from 'express-session'
import { issue } from './payload.js'

const app = express()
app.use(express.json())
app.use(
  session({
    secret: process.env.SESSION_KEY,
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: 'lax' },
  }),
)
app.post('/login', (req, res) => {
  req.session.user = req.body.user
  res.json({})
})
app.post('/v1/auth-payload', (req, res) => {
  if (!req.session.user) return res.status(401).json({ message: 'log in first' })
  res.set('Cache-Control', 'no-store').json(issue())
})

app.listen(Number(process.env.PORT), '127.0.0.1')
