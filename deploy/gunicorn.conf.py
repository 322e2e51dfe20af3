"""
How gunicorn serves authsvc. `authsvc serve` reads this, and gives --bind and --workers itself.

Plain gunicorn takes it too, for a host that starts everything in that way:

    gunicorn -c deploy/gunicorn.conf.py 'authsvc.app:create_app()'

It then has no drain: on SIGTERM it closes at once, and `/readyz` never says "draining". SIGHUP makes new workers.
"""

import os
from pathlib import Path

from authsvc.server.gunicorn_worker import Worker
from authsvc.server.limits import BACKLOG, KEPT_S, THREADS
from authsvc.settings.loader import take

bind = "127.0.0.1:8000"  # behind a gateway on this host; another host's has to be let in on purpose
workers = 2
worker_class = "authsvc.server.gunicorn_worker.Worker"  # threads, and an end for clients that send a request too slowly
threads = THREADS
backlog = BACKLOG

keepalive = KEPT_S
timeout = 60  # a worker that shows no sign of life for so long is killed and replaced
graceful_timeout = 30  # for what has begun when the stop comes; the slowest answer takes about 4 s

header_map = "refuse"  # an underscore twin of an identity header is no header
# Nothing here asks for the scheme, the address or the path that a proxy tells. Who connects by a unix socket is trusted
# with them whatever `forwarded_allow_ips` holds.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers = {}
umask = 0o117  # a unix socket is for a gateway of the same group

worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 -- memory, for the heartbeat
control_socket_disable = True  # signals are enough, and it would need a folder to write to
proc_name = "authsvc"


def post_worker_init(_worker: Worker) -> None:
    """Leave no secret in a worker's environment: its app has read them, and the next worker gets the arbiter's."""
    take(os.environ)


def child_exit(_arbiter: object, worker: Worker) -> None:
    """Have the others expect nothing more of a worker that has ended."""
    worker.balance.end()
