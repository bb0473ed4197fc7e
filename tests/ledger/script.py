"""Ledger scripts that a cashier could read. One line is one item; the books answer at once.

    open       li   online  [floor -2000] [holder NAME]     opens an account of a class of the chart
    fund       li   5000  [as ID]                           a load from the bank, `the_bank`
    post       t1   li -> canteen  1200                     moves money now
    fact       t1   li -> canteen  1200                     the same, whatever the balance
    reserve    t1   li -> canteen  1200  [for 60s]          sets money aside
    confirm    t1   1200                                    takes what was set aside, or less of it
    reverse    t1                                           gives it back before it was taken
    refund     t1   300                                     gives it back afterwards
    wait       60s                                          time passes (ms, s, min, h, d)
    clock      -1h                                          the clock is set; no time passes
    tick                                                    the ledger decides although nobody asks
    restart                                                 the writer ends, another one opens the books
    balance    li   3800  [0 [0]]                           posted, reserved, overdrawn
    statement  li   fund:1 +5000  t1 -1200                  what moved or was set aside, oldest first
    rows       7                                            how many rows the journal has
    business   t1   20260901                                the day that t1 is booked to
    alarm      transfer.amount_held  1                      how many such alarms were raised so far

Words after an item: `as ID` another id than the usual one (confirm:t1, reverse:t1, refund:t1), `fact`,
`window 7`, `kind FEE`, `currency 840`, `origin PAPER`, `by gate` / `of gate` another originator of the item /
of its target, `made 5s` when it happened, after the start of the script; after `open`: `number 7`.

`& ` before an item puts it into the same batch as the line above. `! NAME 300` after it expects that refusal,
and how much is missing where money is. A comment begins with #.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from campus_node.ledger.chart import AccountClass, Kind, account_number, default_floor_fen
from campus_node.ledger.store import AccountOpening
from federation.clock import VirtualClock
from federation.transfer import CURRENCY_CNY, Answer, Origin, Refusal, Request, Verb

STARTED_AT_UNIX_MS = 1_788_220_800_000  # 2026-09-01T00:00Z, 08:00 in Shanghai
_UNIT_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_CLASSES = {
    "cash": AccountClass.CASH,
    "bank": AccountClass.BANK,
    "online": AccountClass.ONLINE,
    "purse": AccountClass.CARD_PURSE,
    "merchant": AccountClass.MERCHANT_PAYABLE,
    "subsidy": AccountClass.UNCLAIMED_SUBSIDY,
    "due_from": AccountClass.DUE_FROM_PEER,
    "due_to": AccountClass.DUE_TO_PEER,
    "fees": AccountClass.FEES,
    "promotions": AccountClass.PROMOTIONS,
    "risk": AccountClass.RISK,
    "suspense": AccountClass.SUSPENSE,
}
_OPTIONS = (
    "as",
    "for",
    "window",
    "kind",
    "currency",
    "origin",
    "by",
    "of",
    "made",
    "floor",
    "holder",
    "number",
)
Columns = tuple[object, ...]  # a row of the journal without its request hash


class Books(Protocol):
    """A ledger that answers one batch at a time and can be looked into."""

    def open_account(self, opening: AccountOpening) -> bool: ...

    def post(self, batch: Sequence[Request]) -> list[Answer]: ...

    def tick(self) -> None: ...

    def restart(self) -> None: ...

    def balance(self, account: int) -> tuple[int, int, int, int] | None:
        """Return posted, reserved, floor, overdrawn."""

    def statement(self, account: int) -> list[Columns]: ...

    def rows(self) -> list[Columns]: ...

    def alarms(self) -> list[str] | None:
        """Return the names of all alarms raised so far; None where nobody keeps them."""


def id_of(name: str) -> bytes:
    """Return the 16 bytes that stand for an id's name."""
    return hashlib.sha256(name.encode()).digest()[:16]


def ms_of(text: str) -> int:
    """Return a duration such as 60s or -1h in milliseconds."""
    match = re.fullmatch(r"(-?\d+)(ms|s|min|h|d)", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    return int(match[1]) * _UNIT_MS[match[2]]


@dataclass(frozen=True, slots=True)
class _Expected:
    line: str
    request: Request
    refusal: Refusal
    short_fen: int


@dataclass(slots=True)
class Script:
    """Plays scripts on one set of books, and goes on where the last one ended."""

    books: Books
    clock: VirtualClock
    _accounts: dict[str, int] = field(default_factory=dict)
    _names: dict[bytes, str] = field(default_factory=dict)
    _originators: dict[str, int] = field(default_factory=lambda: {"till": 1})
    _funded: int = 0
    _batch: list[_Expected] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        """Play every line.

        Raises:
            AssertionError: the books answered otherwise; names the line.
            ValueError: a line is not of this language.
        """
        for raw in text.splitlines():
            line = raw.partition("#")[0].strip()
            if not line:
                continue
            if not line.startswith("&"):
                self._send()
            self._line(line.removeprefix("&").strip())
        self._send()

    def _line(self, line: str) -> None:
        asked, _, expected = (part.strip() for part in line.partition("!"))
        words = asked.split()
        words, options = _split_options(words)
        refusal, short_fen = _refusal(expected)
        request = self._request(words, options)
        if request is not None:
            self._batch.append(_Expected(line, request, refusal, short_fen))
            return
        match words:
            case ["open", name, account_class]:
                self._open(line, name, account_class, options, refusal)
            case ["wait", duration]:
                self.clock.advance(ms_of(duration))
            case ["clock", duration]:
                self.clock.step(ms_of(duration))
            case ["tick"]:
                self.books.tick()
            case ["restart"]:
                self.books.restart()
            case ["balance", name, *numbers]:
                self._balance(line, name, [int(number) for number in numbers])
            case ["statement", name, *expected_rows]:
                self._statement(line, name, expected_rows)
            case ["rows", count]:
                assert len(self.books.rows()) == int(count), line
            case ["business", name, date]:
                dates = [row[16] for row in self.books.rows() if row[3] == id_of(name)]
                assert dates == [int(date)], f"{line}: booked to {dates}"
            case ["alarm", name, count]:
                raised = self.books.alarms()
                assert raised is None or raised.count(name) == int(count), f"{line}: raised {raised}"
            case _:
                raise ValueError(f"unknown line: {line}")

    def _open(self, line: str, name: str, class_name: str, options: dict[str, str], refusal: Refusal) -> None:
        account_class = _CLASSES[class_name]
        local = int(options.get("number", self._accounts.get(name, len(self._accounts) + 1) % 10**12))
        number = account_number(account_class, local)
        floor_fen = int(options.get("floor", default_floor_fen(account_class)))
        opened = self.books.open_account(AccountOpening(number, options.get("holder", name), floor_fen))
        assert opened == (refusal == Refusal.NONE), line
        self._accounts.setdefault(name, number)

    def _request(self, words: list[str], options: dict[str, str]) -> Request | None:
        fact = "fact" in words
        match [word for word in words if word != "fact"] if words[0] != "fact" else ["post", *words[1:]]:
            case ["fund", name, fen]:
                self._open_the_bank()
                self._funded += 1
                own = options.get("as", f"fund:{self._funded}")
                return self._item(own, Verb.POST, fact, "LOAD", "the_bank", name, fen, options)
            case ["post", own, payer, "->", payee, fen]:
                return self._item(own, Verb.POST, fact, "PURCHASE", payer, payee, fen, options)
            case ["reserve", own, payer, "->", payee, fen]:
                return self._item(own, Verb.RESERVE, fact, "PURCHASE", payer, payee, fen, options)
            case ["confirm", target, fen]:
                return self._about(target, Verb.CONFIRM, fact, fen, options)
            case ["reverse", target]:
                return self._about(target, Verb.REVERSE, fact, "0", options)
            case ["refund", target, fen]:
                return self._about(target, Verb.REFUND, fact, fen, options)
        return None

    def _item(
        self,
        own: str,
        verb: Verb,
        fact: bool,
        kind: str,
        payer: str,
        payee: str,
        fen: str,
        options: dict[str, str],
    ) -> Request:
        return self._common(own, verb, fact, fen, options)._replace(
            kind=int(Kind[options.get("kind", kind)]),
            debit=self._account(payer),
            credit=self._account(payee),
            valid_for_ms=ms_of(options.get("for", "60s")) if verb == Verb.RESERVE else 0,
        )

    def _about(self, target: str, verb: Verb, fact: bool, fen: str, options: dict[str, str]) -> Request:
        own = options.get("as", f"{verb.name.lower()}:{target}")
        return self._common(own, verb, fact, fen, options)._replace(
            target_originator=self._originator(options.get("of", "till")), target_id=id_of(target)
        )

    def _common(self, own: str, verb: Verb, fact: bool, fen: str, options: dict[str, str]) -> Request:
        self._names[id_of(own)] = own
        return Request(
            originator=self._originator(options.get("by", "till")),
            transfer_id=id_of(own),
            verb=int(verb),
            fact=fact,
            kind=0,
            debit=0,
            credit=0,
            amount_fen=int(fen),
            currency=int(options.get("currency", CURRENCY_CNY)),
            target_originator=0,
            target_id=b"",
            made_at_unix_ms=STARTED_AT_UNIX_MS + ms_of(options.get("made", "0s")),
            valid_for_ms=0,
            origin=int(Origin[options.get("origin", "ONLINE")]),
            window_id=int(options.get("window", 0)),
        )

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        answers = self.books.post([item.request for item in batch])
        assert len(answers) == len(batch), "every item is answered once"
        for item, answer in zip(batch, answers, strict=True):
            assert Refusal(answer.refusal).name == item.refusal.name, item.line
            assert answer.short_fen == item.short_fen, f"{item.line}: short by {answer.short_fen}"
        assert sum(self._posted(account) for account in self._accounts.values()) == 0, batch[-1].line

    def _posted(self, account: int) -> int:
        balance = self.books.balance(account)
        return 0 if balance is None else balance[0]

    def _balance(self, line: str, name: str, expected: list[int]) -> None:
        balance = self.books.balance(self._account(name))
        assert balance is not None, f"{line}: there is no such account"
        posted_fen, reserved_fen, _, overdrawn_fen = balance
        found = [posted_fen, reserved_fen, overdrawn_fen]
        assert found == expected + [0] * (3 - len(expected)), f"{line}: it is {found}"

    def _statement(self, line: str, name: str, expected: list[str]) -> None:
        account = self._account(name)
        found = []
        for row in self.books.statement(account):
            moved_fen = row[11] if row[9] == account else -row[11]  # type: ignore[operator]  # posted_fen is int
            found += [self._name(row), f"{moved_fen:+d}"]
        assert found == expected, f"{line}: it is {' '.join(found)}"

    def _name(self, row: Columns) -> str:
        own, target = row[3], row[14]
        if row[4] == Verb.EXPIRE:
            assert isinstance(target, bytes)
            return f"expire:{self._names[target]}"
        assert isinstance(own, bytes)
        return self._names[own]

    def _account(self, name: str) -> int:
        if name not in self._accounts:  # one that nobody opened
            return account_number(AccountClass.ONLINE, 10**11 + len(name))
        return self._accounts[name]

    def _originator(self, name: str) -> int:
        return self._originators.setdefault(name, len(self._originators) + 1)

    def _open_the_bank(self) -> None:
        if "the_bank" in self._accounts:
            return
        number = account_number(AccountClass.BANK, 10**9)
        assert self.books.open_account(
            AccountOpening(number, "the_bank", default_floor_fen(AccountClass.BANK))
        )
        self._accounts["the_bank"] = number


def _split_options(words: list[str]) -> tuple[list[str], dict[str, str]]:
    plain: list[str] = []
    options: dict[str, str] = {}
    rest: Iterable[str] = iter(words)
    for word in rest:
        if word in _OPTIONS:
            options[word] = next(iter(rest))
        else:
            plain.append(word)
    return plain, options


def _refusal(expected: str) -> tuple[Refusal, int]:
    name, _, short_fen = expected.partition(" ")
    return (Refusal[name] if name else Refusal.NONE), int(short_fen or 0)
