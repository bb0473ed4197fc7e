"""One event a line; card numbers masked, secrets never."""

import json
import subprocess
import sys

from campus_node.serving.log import mask, masked

ASN = "00001234567890123456"


def test_the_middle_of_a_card_number_is_hidden_wherever_it_stands() -> None:
    assert masked(f"card {ASN} was torn") == "card 00001234********3456 was torn"
    assert masked("account 2100000020260001, 1795328925054") == "account 2100000020260001, 1795328925054"
    event = {"event": "x", "asn": ASN, "raw": bytes.fromhex(ASN), "evidence": {"asn": ASN, "list": [ASN]}}
    assert ASN not in str(mask(None, "info", event))
    assert "5678901234" not in str(event)


def test_what_is_named_as_a_secret_is_never_written() -> None:
    secrets = {
        "session_key": "AA",
        "purchase_mac1": "BB",
        "tac": "CC",
        "pin": "1234",
        "password": "p",
        "key": b"k",
    }
    event = mask(None, "info", {"event": "x", **secrets, "evidence": dict(secrets), "keyboard": "qwerty"})
    assert {event[name] for name in secrets} == {"***"}
    assert set(event["evidence"].values()) == {"***"}
    assert event["keyboard"] == "qwerty"


def log_of(style: str) -> list[str]:
    program = f"""
import logging, structlog
from campus_node.serving import log
log.configure("info", {style!r})
structlog.get_logger("a").info("card.torn", asn={ASN!r}, place="till 3")
logging.getLogger("b").warning("plain %s", {ASN!r})
structlog.get_logger("a").debug("not.shown")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("a").exception("call.failed")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not done.stdout
    return done.stderr.splitlines()


def test_events_of_ours_and_of_libraries_are_one_line_each_in_logfmt() -> None:
    torn, plain, failed = log_of("logfmt")
    assert "level=info event=card.torn" in torn
    assert 'place="till 3"' in torn
    assert "level=warning" in plain
    assert "ZeroDivisionError" in failed
    assert not any(ASN in line for line in (torn, plain))


def test_events_are_json_objects_if_wanted() -> None:
    torn, _, failed = (json.loads(line) for line in log_of("json"))
    assert (torn["event"], torn["level"], torn["place"]) == ("card.torn", "info", "till 3")
    assert "ZeroDivisionError" in failed["exception"]
