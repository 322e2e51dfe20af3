"""The guard that no secret is shown sees each way in which one could be."""

import base64
import logging
import subprocess
from collections.abc import Iterator

import pytest
import urllib3

from tests.conftest import Seen
from tests.support import canaries, made_up
from tests.support.running import Service
from tests.support.vendor_stand_in import Reply, VendorStandIn, vendor_stand_in


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A server that shows what it should not."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = lambda _: Reply.json({"alive": made_up.MASTER_SECRET})
        yield stand_in


@pytest.mark.parametrize("canary", made_up.CANARIES)
@pytest.mark.parametrize("before", ["", "a", "ab", f"{made_up.APPKEY}:"])
@pytest.mark.parametrize("after", ["", "a", "ab"])
def test_forms(canary: str, before: str, after: str) -> None:
    """A secret is found in base64 wherever it begins, and in hex; its mask is not one."""
    whole = f"{before}{canary}{after}"
    assert canaries.is_shown_in(base64.b64encode(whole.encode()).decode())
    assert canaries.is_shown_in(whole.encode().hex())
    assert not canaries.is_shown_in("**********")


def test_basic_authentication() -> None:
    """So is what HTTP Basic makes of it."""
    headers = urllib3.make_headers(basic_auth=f"{made_up.APPKEY}:{made_up.MASTER_SECRET}")
    assert canaries.is_shown_in(str(headers))


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.ERROR])
def test_every_level_of_the_log(seen: Seen, level: int) -> None:
    """A line that only AUTHSVC_LOG_LEVEL=DEBUG shows counts too."""
    logger = logging.getLogger("urllib3.made_up")
    assert logger.isEnabledFor(level)
    assert seen in logging.getLogger().handlers
    # Not through the logger: pytest would print it, and the guard fails what is printed.
    seen.handle(logger.makeRecord(logger.name, level, __file__, 1, "%s", (made_up.MASTER_SECRET,), None))
    assert seen.leaks() == [made_up.MASTER_SECRET]
    seen.texts.clear()


def test_a_process_that_has_ended() -> None:
    """The arguments of a process are seen, however short it lives."""
    subprocess.run(["true", made_up.MASTER_SECRET], check=True)
    assert any(map(canaries.is_shown_in, canaries.STARTED))
    canaries.STARTED.clear()


def test_an_answer_over_a_socket(service: Service, stand_in: VendorStandIn) -> None:
    """What a real process answers is looked at before a test gets it."""
    service.port = int(stand_in.url.rpartition(":")[2])
    with pytest.raises(AssertionError, match="a secret in an answer"):
        service.ask("GET", "/healthz")
