"""A secret shows itself to nobody who does not ask for it by name."""

import copy
import json
import pickle
import traceback
from dataclasses import dataclass

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from authsvc.secret import Secret, key_bytes
from tests.support.made_up import MASTER_SECRET

SECRET = Secret(MASTER_SECRET)


@dataclass(frozen=True)
class Holder:
    """Something that has a secret."""

    secret: Secret


class Model(BaseModel):
    """Settings that have one."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    secret: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        f"{SECRET!s}",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031 -- the old way has to be masked too
        "{0} {0!r}".format(SECRET),  # noqa: UP032 -- the same
        json.dumps({"secret": SECRET}, default=str),
        repr(Holder(SECRET)),
        repr([SECRET, {"a": SECRET}]),
        repr(Model(secret=SECRET)),
        Model(secret=SECRET).model_dump_json(),
        str(Model(secret=SECRET).model_dump()),
        pickle.dumps(SECRET).decode("latin-1"),
        pickle.dumps(Holder(SECRET)).decode("latin-1"),
    ],
)
def test_masked(shown: str) -> None:
    """In every form in which a program shows things."""
    assert MASTER_SECRET not in shown
    assert MASTER_SECRET[:8] not in shown


def test_json_without_a_default() -> None:
    """It is no JSON value by accident."""
    with pytest.raises(TypeError):
        json.dumps(SECRET)


def test_revealed_by_name_only() -> None:
    """There is one way to the text, and a pickled copy has nothing to reveal."""
    assert SECRET.reveal() == MASTER_SECRET
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy(Holder(SECRET)).secret.reveal() == MASTER_SECRET
    with pytest.raises(ValueError, match="is not pickled"):
        pickle.loads(pickle.dumps(SECRET)).reveal()  # noqa: S301 -- our own bytes


def test_equal_by_text() -> None:
    """Equal secrets are equal and hash alike; a text is not a secret."""
    assert Secret(MASTER_SECRET) == SECRET
    assert len({SECRET, Secret(MASTER_SECRET), Secret("密")}) == 2
    assert Secret("密") != SECRET
    assert SECRET != MASTER_SECRET
    assert not hasattr(SECRET, "__dict__")


def test_not_in_a_traceback_with_its_locals() -> None:
    """Not even a debugger that prints every local shows it."""

    def fails(secret: Secret) -> None:
        holder = Holder(secret)
        raise RuntimeError(f"{holder}")

    with pytest.raises(RuntimeError) as raised:
        fails(SECRET)
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert "holder = " in shown
    assert MASTER_SECRET not in shown


@pytest.mark.parametrize(("value", "words"), [("", "is empty"), (7, "must be text"), (None, "must be text")])
def test_as_a_setting(value: object, words: str) -> None:
    """Pydantic accepts a text or a secret, and reports the fault of anything else."""
    assert Model.model_validate({"secret": MASTER_SECRET}).secret == SECRET
    with pytest.raises(ValidationError, match=words):
        Model.model_validate({"secret": value})


def test_fingerprint() -> None:
    """Eight characters that are always the same, and no part of the secret."""
    assert SECRET.fingerprint() == Secret(MASTER_SECRET).fingerprint()
    assert len(SECRET.fingerprint()) == 8
    assert SECRET.fingerprint() not in MASTER_SECRET
    assert SECRET.fingerprint() != Secret(f"{MASTER_SECRET}x").fingerprint()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("plain", b"plain"),
        ("密", "密".encode()),
        ("Base64:4OHi", b"Base64:4OHi"),
        ("base64:4OHi", b"\xe0\xe1\xe2"),
        ("base64:4OHi4w==", b"\xe0\xe1\xe2\xe3"),
        ("base64:4OHi4w", b"\xe0\xe1\xe2\xe3"),
        ("base64:++//", b"\xfb\xef\xff"),
        ("base64:--__", b"\xfb\xef\xff"),
    ],
)
def test_key_bytes(text: str, key: bytes) -> None:
    """A text is its UTF-8; base64 has a prefix, in either alphabet, padded or not."""
    assert key_bytes(text) == key


@pytest.mark.parametrize(
    "text",
    [
        *("base64:", "base64:=", "base64:A", "base64:4OHi4", "base64:4OHi4w=", "base64:4OHi=", "base64:4OHi===="),
        *("base64: 4OHi", "base64:4OHi\n", "base64:4OH!", "base64:+_AA", "base64:4OHi4x==", "base64:密"),
    ],
)
def test_key_bytes_that_are_none(text: str) -> None:
    """Nothing is dropped, guessed or repeated: a letter too few would be another key."""
    with pytest.raises(ValueError, match=r"^is not base64 after base64:$"):
        key_bytes(text)


def test_key_bytes_of_no_text() -> None:
    """An environment variable that is not UTF-8."""
    with pytest.raises(ValueError, match=r"^is not UTF-8 text$"):
        key_bytes("\udcff")
