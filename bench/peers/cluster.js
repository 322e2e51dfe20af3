// Runs a peer in as many processes as asked for: the usual way to use more than one core with Node.js.
import cluster from 'node:cluster'

export function inWorkers(serve) {
  if (!cluster.isPrimary) return serve(Number(process.env.PORT))
  for (let n = 0; n < Number(process.env.WORKERS); n++) cluster.fork()
}
