"""What one person does at the tills, from a seed. Pure, so that a run can be repeated.

An outing is a generator: it yields what is asked of the ledger and is sent the answer.
"""

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final

from campus_node.ledger.chart import AccountClass, Kind, account_number
from campus_node.ledger.client import PostAnswer, Transfer
from federation.transfer import Verb

RESERVED_FOR_MS: Final = 120_000
MERCHANT_NOBODY_HAS: Final = account_number(AccountClass.MERCHANT_PAYABLE, 999_999)  # a mistyped number
LUNCH_FEN: Final = (200, 1_500)
TREAT_FEN: Final = (60_000, 100_000)  # more than anybody has, within the sane limit of a purchase

Outing = Generator[Transfer, PostAnswer, None]


@dataclass(frozen=True, slots=True)
class Person:
    """Who pays, from which account, at whose tills."""

    number: int
    account: int
    merchants: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Paid:
    transfer_id: bytes
    left_fen: int  # can still be refunded


class Shopper:
    """One person with what they remember of earlier payments.

    Args:
        new_id: chooses transfer ids.
        now_unix_ms: the till's clock.
    """

    def __init__(
        self, person: Person, seed: int, new_id: Callable[[], bytes], now_unix_ms: Callable[[], int]
    ) -> None:
        self._person = person
        self._rng = random.Random(f"outing {seed} {person.number}")  # noqa: S311 - repeatable, not secret
        self._new_id = new_id
        self._now_unix_ms = now_unix_ms
        self._paid: list[_Paid] = []

    def outing(self) -> Outing:
        """Go to a till once: mostly a purchase, sometimes one of the longer stories."""
        stories: Sequence[tuple[int, Callable[[], Outing]]] = (
            (70, self._buy),
            (10, self._set_aside_and_take),
            (4, self._set_aside_and_give_back),
            (7, self._return_goods),
            (4, self._mistype_the_merchant),
            (3, self._want_more_than_there_is),
            (2, self._take_more_than_was_set_aside),
        )
        weights, choices = zip(*stories, strict=True)
        story: Callable[[], Outing] = self._rng.choices(choices, weights)[0]
        return story()

    def _buy(self) -> Outing:
        asked = self._ask(Verb.POST, self._rng.randint(*LUNCH_FEN))
        answer = yield asked
        if answer.done:
            self._paid.append(_Paid(asked.transfer_id, asked.amount_fen))

    def _set_aside_and_take(self) -> Outing:
        reserved = self._ask(Verb.RESERVE, self._rng.randint(*LUNCH_FEN))
        answer = yield reserved
        if not answer.done:
            return
        taken_fen = self._rng.randint(reserved.amount_fen // 2, reserved.amount_fen)
        answer = yield self._about(Verb.CONFIRM, reserved.transfer_id, taken_fen)
        if answer.done:
            self._paid.append(_Paid(reserved.transfer_id, taken_fen))

    def _set_aside_and_give_back(self) -> Outing:
        reserved = self._ask(Verb.RESERVE, self._rng.randint(*LUNCH_FEN))
        if (yield reserved).done:
            yield self._about(Verb.REVERSE, reserved.transfer_id, 0)

    def _return_goods(self) -> Outing:
        if not self._paid:
            yield from self._buy()
            return
        paid = self._paid.pop(self._rng.randrange(len(self._paid)))
        yield self._about(Verb.REFUND, paid.transfer_id, self._rng.randint(1, paid.left_fen))

    def _mistype_the_merchant(self) -> Outing:
        yield self._ask(Verb.POST, self._rng.randint(*LUNCH_FEN))._replace(credit=MERCHANT_NOBODY_HAS)

    def _want_more_than_there_is(self) -> Outing:
        yield self._ask(Verb.POST, self._rng.randint(*TREAT_FEN))

    def _take_more_than_was_set_aside(self) -> Outing:
        reserved = self._ask(Verb.RESERVE, self._rng.randint(*LUNCH_FEN))
        if (yield reserved).done:
            yield self._about(Verb.CONFIRM, reserved.transfer_id, reserved.amount_fen + 1)
            yield self._about(Verb.REVERSE, reserved.transfer_id, 0)

    def _ask(self, verb: Verb, amount_fen: int) -> Transfer:
        return Transfer(
            transfer_id=self._new_id(),
            verb=verb,
            kind=Kind.PURCHASE,
            debit=self._person.account,
            credit=self._rng.choice(self._person.merchants),
            amount_fen=amount_fen,
            made_at_unix_ms=self._now_unix_ms(),
            valid_for_ms=RESERVED_FOR_MS if verb is Verb.RESERVE else 0,
        )

    def _about(self, verb: Verb, target_id: bytes, amount_fen: int) -> Transfer:
        return Transfer(
            transfer_id=self._new_id(),
            verb=verb,
            amount_fen=amount_fen,
            made_at_unix_ms=self._now_unix_ms(),
            target_id=target_id,
        )
