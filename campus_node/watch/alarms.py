"""Alarms: what one says and how grave it is. Pure.

A name is dotted, its first part the area: ledger, transfer, account, offline, load, terminal, purse, outbox …
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

TOPIC: Final = "alarm"  # of messages whose body is an alarm
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class Severity(IntEnum):
    """How soon somebody must act. Numbers leave room and order rightly."""

    NOTICE = 10  # worth knowing; nobody needs to act
    WARNING = 20  # act within days
    SERIOUS = 30  # act today: money or service is at risk
    CRITICAL = 40  # act now: money is wrong, or service is down


@dataclass(frozen=True, slots=True)
class Alarm:
    """One occurrence.

    Args:
        name: what happened, for example `account.overdrawn_by_fact`.
        subject: what it happened to, for example an account or a terminal.
        evidence: facts to decide by, as JSON; never keys, session keys or a whole ASN.
        dedupe_key: occurrences with the same key are one alarm while it is open; empty = name and subject.

    Raises:
        ValueError: the name is not dotted lower case, or the subject is empty.
    """

    name: str
    severity: Severity
    subject: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    dedupe_key: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"alarm name {self.name!r} must be dotted lower case, such as ledger.unbalanced")
        if not self.subject:
            raise ValueError(f"alarm {self.name} needs a subject")

    @property
    def key(self) -> str:
        return self.dedupe_key or f"{self.name}:{self.subject}"


def alarm_body(alarm: Alarm) -> str:
    """Return the alarm as the body of a message."""
    return json.dumps(
        {
            "name": alarm.name,
            "severity": alarm.severity.name.lower(),
            "subject": alarm.subject,
            "evidence": dict(alarm.evidence),
            "dedupe_key": alarm.key,
        },
        ensure_ascii=False,
        sort_keys=True,
    )


def parse_alarm(body: str) -> Alarm:
    """Return the alarm that a message's body carries.

    Raises:
        ValueError: it is no JSON object with name, severity, subject, evidence and dedupe_key.
    """
    fields = json.loads(body)
    try:
        name, severity, subject = fields["name"], fields["severity"], fields["subject"]
        evidence, dedupe_key = fields["evidence"], fields["dedupe_key"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"the body is no alarm: {error!r}") from error
    if not isinstance(evidence, dict) or not all(
        isinstance(text, str) for text in (name, severity, subject, dedupe_key)
    ):
        raise ValueError("the body is no alarm: evidence must be an object, everything else text")
    return Alarm(name, parse_severity(severity), subject, evidence, dedupe_key)


def parse_severity(text: str) -> Severity:
    """Return the severity of that name, in any case.

    Raises:
        ValueError: there is none.
    """
    try:
        return Severity[text.upper()]
    except KeyError as error:
        names = ", ".join(severity.name.lower() for severity in Severity)
        raise ValueError(f"severity {text!r} is unknown: use {names}") from error
