"""What a URL of a Redis is taken apart into."""

import pytest

from authsvc.stores import redis_url
from authsvc.stores.redis_url import RedisUrl


@pytest.mark.parametrize(
    ("url", "taken_apart"),
    [
        (
            "redis://u:p%2Fw@one:6380/15?wait=2",
            RedisUrl("", ("redis://u:p%2Fw@one:6380/15?",), "", 2, "redis://u:p%2Fw@one:6380/15?"),
        ),
        (
            "rediss://one?db=3&ssl_ca_certs=/ca.pem",
            RedisUrl(
                "",
                ("rediss://one?db=3&ssl_ca_certs=%2Fca.pem",),
                "",
                0,
                "rediss://one?db=3&ssl_ca_certs=%2Fca.pem",
            ),
        ),
        (
            "unix:///redis.sock?username=u&password=p",
            RedisUrl("", ("unix:///redis.sock?username=u&password=p",), "", 0, "unix:///redis.sock?username=u&password=p"),
        ),
        (
            "redis+sentinel://one,two:26380,[::1]/My.master-1_0",
            RedisUrl(
                "sentinel",
                ("redis://one:26379?", "redis://two:26380?", "redis://[::1]:26379?"),
                "My.master-1_0",
                0,
                "redis://{}/0?",
            ),
        ),
        (
            "rediss+sentinel://u:p@one:1/m/3?sentinel_username=s&sentinel_password=p%2Fw&ssl_cert_reqs=none&wait=1",
            RedisUrl("sentinel", ("rediss://s:p%2Fw@one:1?ssl_cert_reqs=none",), "m", 1, "rediss://u:p@{}/3?ssl_cert_reqs=none"),
        ),
        (
            "redis+sentinel://u:p@one:1/m?sentinel_password=s",
            RedisUrl("sentinel", ("redis://:s@one:1?",), "m", 0, "redis://u:p@{}/0?"),
        ),
        (
            "rediss+cluster://u:p@one:7000,two/0?wait=1&ssl_ca_certs=ca",
            RedisUrl(
                "cluster",
                ("rediss://u:p@one:7000?ssl_ca_certs=ca", "rediss://u:p@two?ssl_ca_certs=ca"),
                "",
                1,
                "rediss://u:p@{}?ssl_ca_certs=ca",
            ),
        ),
    ],
)  # fmt: skip
def test_taken_apart(url: str, taken_apart: RedisUrl) -> None:
    """Whom to ask, as redis-py takes it, and what a server that they name is to be connected by."""
    assert redis_url.parse(url) == taken_apart


def test_a_server_that_was_found() -> None:
    """It gets the user, the database and the parameters, and only its own place is filled in."""
    url = redis_url.parse("rediss+sentinel://u:p@one/m/3?ssl_ca_certs=ca")
    assert url.at("two", 6379) == "rediss://u:p@two:6379/3?ssl_ca_certs=ca"
    assert url.at("::1", 6379) == "rediss://u:p@[::1]:6379/3?ssl_ca_certs=ca"
