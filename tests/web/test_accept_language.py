"""Tests of `accept_language`: browsers' headers, and whatever else comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.web import accept_language
from authsvc.web.accept_language import LANGUAGES, MAX_READ, preferred


@pytest.mark.parametrize(
    "header",
    [
        "zh",
        "ZH",
        "zh-CN",
        "zh_CN",
        "zh-Hans",
        "zh-Hans-CN",
        "zh-TW",
        "zh-CN,zh;q=0.9,en;q=0.8",
        "zh-CN, en-US",
        "zh-TW,en;q=0.5",
        "en;q=0.5,zh-HK;q=0.6",
        "en;q=0,zh;q=0.001",
        "fr-FR,fr;q=0.9,zh;q=0.2,en;q=0.1",
        "zh;q=0.1,*",
        "zh;q=1.5,zh;q=0.3",
    ],
)
def test_chinese(header: str) -> None:
    """Any kind of Chinese that is preferred to English; of two that are liked alike, the one named first."""
    assert preferred(header).tag == "zh-CN"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "en",
        "en-US,en;q=0.9,zh-CN;q=0.8",
        "en-GB, zh-CN",
        "zh;q=0.5,en;q=0.6",
        "zh;q=0",
        "zh;q=0,*",
        "*",
        "fr-FR,fr;q=0.9",
        "zha",
        "x-zh",
        "zh;q=2",
        "zh;q=nan",
        "z h",
        ";;;,,=",
        "\xff\x00zh",
    ],
)
def test_english(header: str | None) -> None:
    """Also where nothing that is named is there, where anything will do, and where nothing can be read."""
    assert preferred(header).tag == "en"


@given(st.text(max_size=60) | st.text("zhen-;q=0.159,* \t\"'%_", max_size=60))
def test_any_text_names_a_language(header: str) -> None:
    """No header raises, whatever its bytes."""
    assert preferred(header) in LANGUAGES


def test_the_cache_is_bounded() -> None:
    """Headers that nobody sends twice cost no memory, nor do long ones."""
    for number in range(1_000):
        preferred(f"x{number}" + ", zh" * 10_000)
    remembered = accept_language._parsed.cache_info()
    assert remembered.currsize == remembered.maxsize
    assert remembered.maxsize is not None
    assert remembered.maxsize * MAX_READ < 1_000_000
