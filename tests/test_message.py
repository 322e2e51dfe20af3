"""Tests of `message`, and of what refusals have of it."""

from authsvc.errors import InvalidRequest, LoginUnavailable
from authsvc.message import Message

GREETING = {"{who} greets {whom}": "{whom} 收到 {who} 的问候", "the {name}": "{name} 那位"}


def test_a_message_in_other_words() -> None:
    """Each template has its own, those within as well; what has none stays as it is."""
    message = Message("{who} greets {whom}", who=Message("the {name}", name="user"), whom=Message("anybody"))
    assert str(message) == "the user greets anybody"
    assert message.text(GREETING) == "anybody 收到 user 那位 的问候"


def test_a_fact_is_no_template() -> None:
    """A text that somebody sends is shown as it is, with whatever it has of braces."""
    refusal = InvalidRequest("{0.__class__}", "is not {known}", known="{a}")
    assert refusal.detail == str(refusal) == "{0.__class__}: is not {a}"
    assert refusal.message.text({"is not {known}": "不是 {known}"}) == "{0.__class__}: 不是 {a}"


def test_facts_of_one_that_may_be_tried_again() -> None:
    """They are the message's, and what is for the code alone is not."""
    refusal = LoginUnavailable("{service} is unavailable", service=LoginUnavailable.service, retry_after_s=7)
    assert refusal.detail == "the app that checks logins is unavailable; try again in 7 s"
    assert str(refusal.what) == "the app that checks logins is unavailable"
