// What every Node.js peer does once the caller is known: draw a random_str, take the time, sign.
import { createHash, randomBytes } from 'node:crypto'

export const appkey = process.env.APPKEY
const masterSecret = process.env.MASTER_SECRET

export function sign(timestamp, randomStr) {
  const text = `appkey=${appkey}&timestamp=${timestamp}&random_str=${randomStr}&key=${masterSecret}`
  return createHash('md5').update(text).digest('hex')
}

export function issue() {
  const randomStr = randomBytes(16).toString('hex')
  const timestamp = String(Date.now())
  return { appkey, random_str: randomStr, signature: sign(timestamp, randomStr), timestamp }
}
