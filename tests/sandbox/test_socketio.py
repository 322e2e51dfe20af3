"""The gateway by a client that is not ours: socket.io-client 2, of the generation that the SDK bundles."""

from pathlib import Path

from authsvc.sandbox.verification import Service
from tests.conftest import Seen, bearer_of
from tests.sandbox.conftest import Sandbox
from tests.support.node import MODULES, run_node

SCRIPT = Path(__file__).parent / "socketio.test.mjs"


def test_by_socket_io_client_2(sandbox: Sandbox, verifying: Service, seen: Seen) -> None:
    """Over each transport and from one to the other; with the SDK's retransmissions at their real times."""
    variables = {
        "MODULES": str(MODULES),
        "SANDBOX": sandbox.url,
        "SERVICE": verifying.url,
        "TOKEN": bearer_of("ming")["Authorization"].removeprefix("Bearer "),
    }
    told = run_node("--test", "--test-reporter=tap", str(SCRIPT), variables=variables)
    seen.texts.append(told)
    assert "\n# pass 8\n" in told
