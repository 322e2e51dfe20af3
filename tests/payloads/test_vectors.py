"""The vectors hold, here and by the tools of others."""

import json
import random
import string
import subprocess
from pathlib import Path
from typing import Any

import pytest

from authsvc import errors
from authsvc.errors import Refusal
from authsvc.payloads import payload, signature, verifying
from authsvc.payloads.apps import App, Apps
from authsvc.secret import Secret

FOLDER = Path(__file__).parents[1] / "vectors"
RANDOM_VECTORS = 500


def cases(name: str) -> list[Any]:
    """Return the file's tests, each with its number as its id."""
    read = json.loads((FOLDER / name).read_text())
    assert len(read["tests"]) == read["numberOfTests"]
    return [pytest.param(case, id=f"tcId{case['tcId']}") for case in read["tests"]]


def sign_string(case: dict[str, Any]) -> str:
    return (
        f"appkey={case['appkey']}&timestamp={case['timestamp_ms']}"
        f"&random_str={case['random_str']}&key={case['master_secret']}"
    )


@pytest.mark.parametrize("case", cases("signature.json"))
def test_signature(case: dict[str, Any]) -> None:
    """A valid signature is what `sign` returns, in lower case, and only a valid one is taken."""
    fields = {name: case[name] for name in ("appkey", "timestamp_ms", "random_str", "master_secret")}
    is_valid = case["result"] == "valid"
    assert signature.is_valid(case["signature"], **fields) is is_valid
    assert (signature.sign(**fields) == case["signature"].lower()) is is_valid


@pytest.mark.parametrize("case", cases("verify.json"))
def test_verify(case: dict[str, Any]) -> None:
    """A payload gets the refusal that the file names, at the time that it names."""
    apps = Apps([App("0123456789abcdef01234567", Secret(case["master_secret"]))], case["now_ms"])
    if case["result"] == "valid":
        verifying.check(payload.parse(case["payload"]), apps=apps, now_ms=case["now_ms"])
        return
    expected = getattr(errors, case["refusal"])
    with pytest.raises(Refusal) as refusal:
        verifying.check(payload.parse(case["payload"]), apps=apps, now_ms=case["now_ms"])
    assert type(refusal.value) is expected
    assert case["master_secret"] not in refusal.value.detail


@pytest.mark.parametrize("tool", ["openssl", "md5sum"])
def test_others_confirm_every_digest(tool: str, tmp_path: Path) -> None:
    """OpenSSL and coreutils find the digests of the signature file, each by itself."""
    valid = [case.values[0] for case in cases("signature.json") if case.values[0]["result"] == "valid"]
    files = [tmp_path / str(case["tcId"]) for case in valid]
    for case, file in zip(valid, files, strict=True):
        file.write_text(sign_string(case))
    command = ["openssl", "dgst", "-md5", "-r"] if tool == "openssl" else ["md5sum"]
    output = subprocess.run([*command, *files], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in output.splitlines()] == [case["signature"].lower() for case in valid]


def test_another_language_signs_the_same() -> None:
    """Five hundred random vectors, put together and digested by Perl's Digest::MD5."""
    seeded = random.Random(20180205)
    allowed = string.ascii_letters + string.digits + "_-"

    def text(length: int, characters: str) -> str:
        return "".join(seeded.choices(characters, k=length))

    rows = [
        (
            text(24, string.hexdigits.lower()),
            seeded.randrange(10**12, 10**13),
            text(seeded.randint(20, 36), allowed),
            text(24, string.ascii_letters + string.digits + "&=%+ ~"),
        )
        for _ in range(RANDOM_VECTORS)
    ]
    program = (
        'chomp; my ($a, $t, $r, $k) = split /\\t/; print md5_hex("appkey=$a&timestamp=$t&random_str=$r&key=$k"), "\\n"'
    )
    lines = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    output = subprocess.run(
        ["perl", "-MDigest::MD5=md5_hex", "-ne", program], input=lines, capture_output=True, text=True, check=True
    ).stdout
    ours = [
        signature.sign(appkey=appkey, timestamp_ms=timestamp_ms, random_str=random_str, master_secret=master_secret)
        for appkey, timestamp_ms, random_str, master_secret in rows
    ]
    assert output.split() == ours
    assert len(set(ours)) == RANDOM_VECTORS
