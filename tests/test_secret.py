"""A secret shows itself to nobody who does not ask for it by name."""

import copy
import json
import pickle
import traceback
from dataclasses import dataclass

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from authsvc.secret import Secret
from tests.made_up import MASTER_SECRET

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
    with pytest.raises(ValueError, match="does not travel"):
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
    """Pydantic takes a text or a secret, and tells what is wrong with anything else."""
    assert Model.model_validate({"secret": MASTER_SECRET}).secret == SECRET
    with pytest.raises(ValidationError, match=words):
        Model.model_validate({"secret": value})


def test_fingerprint() -> None:
    """Eight characters that are always the same, and no part of the secret."""
    assert SECRET.fingerprint() == Secret(MASTER_SECRET).fingerprint()
    assert len(SECRET.fingerprint()) == 8
    assert SECRET.fingerprint() not in MASTER_SECRET
    assert SECRET.fingerprint() != Secret(f"{MASTER_SECRET}x").fingerprint()
