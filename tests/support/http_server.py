"""
The HTTP server that the stand-ins are made of.
"""

import threading
from http.server import ThreadingHTTPServer
from typing import Any


class OneByOneServer(ThreadingHTTPServer):
    """One thread a connection, started one after the other: coverage's tracing cannot be begun in two at once."""

    daemon_threads = True
    request_queue_size = 512  # of socketserver's 5, a busy machine would drop some for a second

    def process_request(self, request: Any, client_address: Any) -> None:
        begun = threading.Event()

        def run() -> None:
            begun.set()
            self.process_request_thread(request, client_address)

        threading.Thread(target=run, daemon=True).start()
        begun.wait(60)
