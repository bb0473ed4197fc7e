"""The tills of one line in one process: whoever has something to do gets a turn, nobody waits for another."""

import json
import os
import select
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from campus_node.purse.apdu import demand
from campus_node.purse.commands import Purse, get_balance, parse_balance
from campus_node.purse.presenting import CardLayout, present
from federation.clock import Clock, SystemClock
from hil_rig.senders.knowledge import Knowledge
from hil_rig.tills.chips import card_of, memory_of
from hil_rig.tills.order import TillsOrder
from hil_rig.tills.standing import Standing
from hil_rig.tills.taps import Tap, read_round
from hil_rig.tills.terminal import Terminal
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_card_profile, load_psam_profile

TELLS_PER_S: Final = 20
LINE_BYTES_MAX: Final = 1 << 20
WAIT_S_MAX: Final = 1.0


def run(order: TillsOrder) -> int:
    """Run the tills until standard input ends; then tell what the cards hold. Returns 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever holds our standard input ends us
    hands = Hands(order, SystemClock())
    hands.run()
    hands.close()
    return 0


class Hands:
    """All tills of a line, the cards, and whoever lays them there.

    Args:
        order: who they are.
        clock: the machine's.
    """

    def __init__(self, order: TillsOrder, clock: Clock) -> None:
        self._clock = clock
        self._directory = Path(order.directory)
        pattern = load_psam_profile("psam")
        self._never, self._open_end = os.pipe()
        tills = [Terminal(order, who, pattern, clock, self._never) for who in order.terminals]
        self._tills = {till.name: till for till in tills}
        self._watched: dict[int, Terminal] = {}
        self._cards = self._make_cards(order)
        self._card_file = Knowledge(self._directory / "cards.jsonl")
        self._card_file.keep(
            *({"card": card.asn.upper(), "issued_fen": card.balance_fen} for card in order.cards)
        )
        self._due: list[tuple[float, Tap]] = []  # by instant
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._typed = b""
        self._told = Standing()
        self._tell_s = 0.0
        self._moved = True  # since it was told how all stand

    def run(self) -> None:
        """Go on until standard input ends."""
        ended = False
        readable: set[Terminal] = set(self._tills.values())
        while not ended:
            now_s = self._clock.monotonic_s()
            self._lay_due(now_s)
            for till in self._tills.values():
                if till in readable or till.due_s <= now_s:
                    till.step(self._clock.monotonic_s())
                    self._moved = True
            self._tell(now_s)
            self._watch()
            readable, ended = self._wait()

    def close(self) -> None:
        """Tell what the cards hold, and let everything go."""
        for asn, card in self._cards.items():
            self._card_file.keep({"card": asn.upper(), "holds_fen": balance_of(card)})
        for till in self._tills.values():
            till.close()
        self._card_file.close()
        os.close(self._never)
        os.close(self._open_end)
        self._say(self._standing(over=True))

    def _make_cards(self, order: TillsOrder) -> dict[str, VirtualCard]:
        pattern = load_card_profile("card-3des")
        purchase, tac = bytes.fromhex(order.purchase_key), bytes.fromhex(order.tac_key)
        places = self._directory / "cards"
        return {
            card.asn: card_of(
                bytes.fromhex(card.asn),
                card.balance_fen,
                purchase,
                tac,
                pattern,
                memory_of(places, card.asn, lasting=order.lasting),
            )
            for card in order.cards
        }

    def _lay_due(self, now_s: float) -> None:
        """Lay the cards whose moment has come. After each, its till goes on: its record leaves at once."""
        while self._due and self._due[0][0] <= now_s:
            due_s, tap = self._due.pop(0)
            till = self._tills[tap.till]
            till.tap(tap, self._cards[tap.asn], due_s)
            if till.awaits_card:
                back_s = self._clock.monotonic_s() + tap.back_after_s
                self._plan(back_s, Tap(tap.number, tap.till, tap.asn, tap.amount_fen))
            till.step(self._clock.monotonic_s())

    def _plan(self, at_s: float, tap: Tap) -> None:
        self._due.append((at_s, tap))
        self._due.sort(key=lambda planned: planned[0])

    def _watch(self) -> None:
        """Watch the descriptors that the lines have now: a line that was opened again has another."""
        wanted = {}
        for till in self._tills.values():
            descriptor = till.descriptor()
            if descriptor >= 0:
                wanted[descriptor] = till
        for gone in self._watched.keys() - wanted.keys():
            self._poll.unregister(gone)
        for new in wanted.keys() - self._watched.keys():
            self._poll.register(new, select.POLLIN)
        self._watched = wanted

    def _wait(self) -> tuple[set[Terminal], bool]:
        """Wait for a line, an order or an instant; return whose line has something, and whether to end."""
        now_s = self._clock.monotonic_s()
        until_s = min(
            *(till.due_s for till in self._tills.values()),
            self._due[0][0] if self._due else now_s + WAIT_S_MAX,
            self._tell_s if self._moved else now_s + WAIT_S_MAX,
            now_s + WAIT_S_MAX,
        )
        found = {fd for fd, _ in self._poll.poll(max(until_s - now_s, 0.0) * 1000)}
        ended = sys.stdin.fileno() in found and not self._read_orders()
        return {self._watched[fd] for fd in found if fd in self._watched}, ended

    def _read_orders(self) -> bool:
        """Take what stands on standard input; return whether it goes on."""
        block = os.read(sys.stdin.fileno(), LINE_BYTES_MAX)
        *lines, self._typed = (self._typed + block).split(b"\n")
        for line in lines:
            asked = read_round(line.decode())
            for tap in asked.taps:
                self._plan(asked.at_s, tap)
        return bool(block)

    def _standing(self, *, over: bool = False) -> Standing:
        return Standing.of((till.counts() for till in self._tills.values()), len(self._due), over=over)

    def _tell(self, now_s: float) -> None:
        if not self._moved or now_s < self._tell_s:
            return
        now = self._standing()
        if now != self._told:
            self._say(now)
            self._told = now
        self._tell_s, self._moved = now_s + 1 / TELLS_PER_S, False

    def _say(self, standing: Standing) -> None:
        sys.stdout.write(json.dumps(asdict(standing)) + "\n")
        sys.stdout.flush()


def balance_of(card: VirtualCard) -> int:
    """Ask a card what its purse holds, in fen."""
    channel = VirtualReader(card).channel()
    present(channel, CardLayout())
    balance_fen = parse_balance(demand(channel, get_balance(Purse.EP)))
    channel.close()
    return balance_fen
