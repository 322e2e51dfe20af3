"""Which store a URL opens, and which URLs are refused."""

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from authsvc import stores
from authsvc.errors import SettingsError
from authsvc.stores import open_store
from authsvc.stores.redis import RedisStore
from authsvc.stores.sqlite import SqliteStore
from authsvc.stores.store import Store
from tests.stores.calls import CALLS, check_unavailable
from tests.support import made_up

BEGIN = "must begin with sqlite:///, unix://, redis[s]://, redis[s]+sentinel:// or redis[s]+cluster://"
ENCODED = "is not the URL of a Redis; in its password, / ? # @ : [ ] % must be percent-encoded"
NAME = "must name the primary as the sentinels do, such as redis+sentinel://host:26379/mymaster/0"


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_sqlite(tmp_path: Path, slashes: str) -> None:
    """sqlite:// and an absolute path open that file; a fourth slash, as SQLAlchemy writes it, changes nothing."""
    with closing(open_store(f"sqlite://{slashes}{str(tmp_path)[1:]}/a b%20c.db")) as store:
        assert isinstance(store, SqliteStore)
        store.ping()
        assert (tmp_path / "a b%20c.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:p%2Fw@redis.example:6380/15",
        "redis://[::1]:6379",
        "redis://localhost?db=3",
        "rediss://user:pw@redis.example/0?ssl_ca_certs=/etc/ssl/ca.pem",
        "unix:///run/redis/redis.sock",
        "unix://user:pw@/run/redis/redis.sock?db=2",
        "unix:///run/redis/redis.sock?password=pw",
        "redis://localhost:6379/0?wait=1",
        "redis+sentinel://one,two:26380,[::1]:26379/mymaster",
        "rediss+sentinel://u:p@one/my.master-1/3?ssl_cert_reqs=none&sentinel_password=p%2Fw&wait=2",
        "redis+cluster://one:7000,two,[::1]:7002",
        "rediss+cluster://u:p@one/0?ssl_ca_certs=/etc/ssl/ca.pem",
    ],
)
def test_redis(url: str) -> None:
    """The URLs of redis-py open a Redis store; nothing is connected to yet."""
    with closing(open_store(url)) as store:
        assert isinstance(store, RedisStore)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", BEGIN),
        ("/var/lib/store.db", BEGIN),
        ("redis+proxy://host", BEGIN),
        ("unix+sentinel://host", BEGIN),
        ("mysql://host", BEGIN),
        ("sqlite://", "must be sqlite:// and an absolute path, like sqlite:///var/lib/authsvc/store.db"),
        ("sqlite:///", "must be sqlite:// and an absolute path, like sqlite:///var/lib/authsvc/store.db"),
        ("sqlite://store.db", "must be sqlite:// and an absolute path, like sqlite:///var/lib/authsvc/store.db"),
        ("sqlite:///s.db?timeout=5", "must be sqlite:// and an absolute path, like sqlite:///var/lib/authsvc/store.db"),
        ("redis://host:0", ENCODED),
        ("redis://host:65536", ENCODED),
        ("redis://" + "x" * 64, ENCODED),
        ("redis://host?socket_timeout=9", "may have only the parameters db, wait"),
        ("redis://host?decode_responses=", "may have only the parameters db, wait"),
        ("redis://host?x=://", "may have only the parameters db, wait"),
        ("redis://host?ssl_ca_certs=x", "may have only the parameters db, wait"),
        ("redis://host/one", "names a database that is not a number"),
        ("redis://host?db=one", "names a database that is not a number"),
        ("rediss://host?db=one", "names a database that is not a number"),
        ("unix:///redis.sock?db=one", "names a database that is not a number"),
        ("redis://host?wait=10", "may wait for 0 to 9 replicas"),
        ("redis://host?wait=", "may wait for 0 to 9 replicas"),
        ("redis+sentinel://host", NAME),
        ("redis+sentinel://host/", NAME),
        ("redis+sentinel://host/my master", NAME),
        ("redis+sentinel://host/mymaster/one", "names a database that is not a number"),
        (
            "redis+sentinel://host/mymaster?db=1",
            "may have only the parameters sentinel_password, sentinel_username, wait",
        ),
        ("redis+sentinel:///mymaster", ENCODED),
        ("redis+sentinel://one,,two/mymaster", ENCODED),
        ("redis+cluster://one,two:0", ENCODED),
        ("redis+cluster://one{}", ENCODED),
        ("redis+cluster://one#two", ENCODED),
        ("redis+cluster://one/1", "has a database or path, but a Cluster has none"),
        ("redis+cluster://one?sentinel_password=x", "may have only the parameters wait"),
        ("unix://?db=1", "must name the socket's path, such as unix:///run/redis/redis.sock"),
    ],
)
def test_refused(url: str, rule: str) -> None:
    """Any other URL is a fault of the settings, which names the allowed ones."""
    with pytest.raises(SettingsError) as refused:
        open_store(url)
    assert refused.value.faults == [f"AUTHSVC_STORE_URL: {rule}"]
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
        stores.check_url(url)


@pytest.mark.parametrize(
    ("relative", "there"),
    [
        ("x.db", "directly under /"),
        ("./x.db", "directly under /"),
        ("no-such-folder/x.db", "under /no-such-folder, which is no folder"),
        ("no-such-folder/a/b/x.db", "under /no-such-folder, which is no folder"),
        ("~/x.db", "under /~, which is no folder"),
    ],
)
def test_a_path_that_may_be_meant_as_a_relative_one(relative: str, there: str) -> None:
    """Other software reads three slashes so. The fault has both readings, and how to write each."""
    path = relative.removeprefix("./")
    with pytest.raises(SettingsError) as refused:
        open_store(f"sqlite:///{relative}")
    (fault,) = refused.value.faults
    assert fault == (
        f"AUTHSVC_STORE_URL: sqlite:///{path} is /{path} here, {there}; SQLAlchemy reads it as {path} in the working"
        f" directory. Write sqlite:////{path} for the one, and the whole path, sqlite:////…/{path}, for the other"
    )
    stores.check_url(f"sqlite:////{path}")


@pytest.mark.parametrize("slashes", ["///", "////"])
def test_three_slashes_or_four(tmp_path: Path, slashes: str) -> None:
    """Both are the same file."""
    url = f"sqlite:{slashes}{tmp_path.relative_to('/')}/store.db"
    with closing(open_store(url)) as store:
        store.ping()
    assert (tmp_path / "store.db").exists()
    assert stores.place(url) == f"SQLite file {tmp_path}/store.db"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("unix://{user}/run/redis.sock?db=1", "Redis at /run/redis.sock"),
        ("unix:///run/odd://redis.sock", "Redis at /run/odd://redis.sock"),
        ("sqlite:////X/odd://store.db", "SQLite file /X/odd://store.db"),
        ("redis://", "Redis at localhost:6379"),
        ("redis://{user}host:7000/3", "Redis at host:7000"),
        ("rediss://{user}[::1]", "Redis at [::1]:6379 by TLS"),
        (
            "redis+sentinel://{user}one,two:26380/main/0?sentinel_password=canary",
            "Redis, primary main of the sentinels at one:26379, two:26380",
        ),
        ("rediss+cluster://{user}one,two:7001", "Redis Cluster at one:6379, two:7001 by TLS"),
    ],
)
def test_place(url: str, place: str) -> None:
    """What kind it is and where, without who asks and by which password."""
    assert stores.place(url.format(user=f"somebody:{made_up.VERIFIER_KEY}@")) == place


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "rediss+cluster"])
@pytest.mark.parametrize("mark", "/?#[]")
def test_password_that_is_not_encoded(mark: str, scheme: str) -> None:
    """A password that breaks its URL is not repeated in the refusal."""
    password = f"{made_up.VERIFIER_KEY}{mark}{made_up.VERIFIER_KEY}"
    with pytest.raises(SettingsError) as refused:
        open_store(f"{scheme}://:{password}@localhost:6379/0")
    assert "percent-encoded" in str(refused.value)
    assert made_up.VERIFIER_KEY not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1",
        "rediss://127.0.0.1:1",
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/mymaster",
        "redis+cluster://127.0.0.1:1,127.0.0.1:2",
    ],
)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_nobody_there(url: str, call: Callable[[Store], object]) -> None:
    """Hosts where nobody listens are unavailable."""
    with closing(open_store(url)) as store:
        check_unavailable(store, call)


def test_redis_is_loaded_for_redis_only() -> None:
    """Those who use SQLite do not wait for redis-py to be imported."""
    script = (
        "import sys; from authsvc.stores import open_store; open_store('sqlite:////x'); print('redis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
