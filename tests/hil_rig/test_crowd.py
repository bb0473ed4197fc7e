"""The crowd: what it does follows from a seed, and what it knows is on disk before it goes on."""

import asyncio
import json
from collections import Counter
from itertools import count
from pathlib import Path

from campus_node.ledger.client import PostAnswer, Transfer
from federation.clock import VirtualClock
from federation.errors import StoreDown
from federation.transfer import Refusal, Verb
from hil_rig.crowd.crowd import Crowd
from hil_rig.crowd.outing import MERCHANT_NOBODY_HAS, Person, Shopper
from hil_rig.crowd.receipts import Attempt, Receipts, cut_off_at, under_way_at

PERSON = Person(7, 2100 * 10**12 + 7, (2300 * 10**12 + 1, 2300 * 10**12 + 2))
DONE = PostAnswer(Refusal.NONE, 1, 0, 0)


def shopper(seed: int) -> Shopper:
    numbers = count(1)
    return Shopper(PERSON, seed, lambda: next(numbers).to_bytes(16, "big"), VirtualClock().unix_ms)


def transfers_of(seed: int, outings: int) -> list[Transfer]:
    """Send one person shopping where everything is granted."""
    asked = []
    person = shopper(seed)
    for _ in range(outings):
        outing = person.outing()
        try:
            asked.append(next(outing))
            while True:
                asked.append(outing.send(DONE))
        except StopIteration:
            pass
    return asked


def test_the_same_seed_goes_to_the_same_tills() -> None:
    assert transfers_of(5, 50) == transfers_of(5, 50)
    assert transfers_of(5, 50) != transfers_of(6, 50)


def test_everything_that_happens_at_tills_happens() -> None:
    asked = transfers_of(5, 500)
    verbs = Counter(Verb(transfer.verb) for transfer in asked)
    assert verbs.keys() == {Verb.POST, Verb.RESERVE, Verb.CONFIRM, Verb.REVERSE, Verb.REFUND}
    assert any(transfer.credit == MERCHANT_NOBODY_HAS for transfer in asked)
    assert any(transfer.amount_fen >= 60_000 for transfer in asked)
    assert len({transfer.transfer_id for transfer in asked}) == len(asked)


class DeafTill:
    """A till on a line so bad that the first attempts at each question get no answer."""

    originator = "terminal/0001"

    def __init__(self, deaf_for: int, receipts: Path) -> None:
        self.heard: list[bytes] = []
        self.on_disk_when_asked: list[int] = []
        self._deaf_for = deaf_for
        self._receipts = receipts

    async def ask(self, transfer: Transfer) -> PostAnswer:
        self.heard.append(transfer.transfer_id)
        lines = self._receipts.read_text().splitlines()
        self.on_disk_when_asked.append(sum("answered" in json.loads(line) for line in lines))
        assert any(json.loads(line).get("sent") == transfer.transfer_id.hex().upper() for line in lines)
        if self.heard.count(transfer.transfer_id) <= self._deaf_for:
            raise StoreDown("the disk is full")
        return DONE


def visit(path: Path, till: DeafTill, payments: int, patience_s: float) -> Crowd:
    async def run() -> Crowd:
        receipts = Receipts(path)
        crowd = Crowd(receipts, VirtualClock(), 1, patience_s)
        await crowd.visit(shopper(3), till, payments)
        receipts.close()
        return crowd

    return asyncio.run(run())


def test_a_question_is_repeated_with_its_id_and_every_answer_is_on_disk_before_the_next_question(
    tmp_path: Path,
) -> None:
    path = tmp_path / "client.jsonl"
    till = DeafTill(deaf_for=1, receipts=path)
    crowd = visit(path, till, payments=3, patience_s=60)
    ids = till.heard[::2]
    assert len(set(ids)) == len(ids) >= 3
    assert till.heard[1::2] == ids, "each was asked twice, with the same id"
    assert till.on_disk_when_asked[::2] == list(range(len(ids))), "all earlier answers were on disk"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["answered"] for event in events if "answered" in event] == [i.hex().upper() for i in ids]
    assert crowd.progress.unanswered == len(ids)
    assert crowd.progress.acknowledged == len(ids)


def test_whoever_loses_patience_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    path = tmp_path / "client.jsonl"
    crowd = visit(path, DeafTill(deaf_for=99, receipts=path), payments=3, patience_s=-1)
    assert (crowd.progress.sent, crowd.progress.given_up, crowd.progress.answered) == (1, 1, 0)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [next(iter(event)) for event in events] == ["sent", "unanswered"]


def test_attempts_are_placed_in_time(tmp_path: Path) -> None:
    path = tmp_path / "client.jsonl"
    lines: list[dict[str, object]] = [
        {"sent": "A"},
        {"unanswered": "A", "from_unix_ms": 100, "to_unix_ms": 200},
        {"answered": "A", "from_unix_ms": 300, "to_unix_ms": 310},
        {"answered": "B", "from_unix_ms": 150, "to_unix_ms": 160},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert under_way_at(path, 155) == [Attempt(False, 100, 200), Attempt(True, 150, 160)]
    assert cut_off_at(path, 155) == 1
    assert cut_off_at(path, 305) == 0


def test_receipts_are_written_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "client.jsonl"

    async def keep_many() -> None:
        receipts = Receipts(path)

        async def keep(number: int) -> None:
            await receipts.keep({"sent": f"{number}"})
            assert f'"{number}"' in path.read_text(), "kept means written"

        await asyncio.gather(*(keep(number) for number in range(200)))
        receipts.close()

    asyncio.run(keep_many())
    assert [json.loads(line)["sent"] for line in path.read_text().splitlines()] == [
        str(n) for n in range(200)
    ]


def test_a_stopped_crowd_begins_nothing_new(tmp_path: Path) -> None:
    path = tmp_path / "client.jsonl"

    async def run() -> Crowd:
        receipts = Receipts(path)
        crowd = Crowd(receipts, VirtualClock(), 1, 60)
        crowd.stop()
        await crowd.visit(shopper(3), DeafTill(0, path), None)
        receipts.close()
        return crowd

    assert asyncio.run(run()).progress.sent == 0
