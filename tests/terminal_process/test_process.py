"""A real terminal process sells, is killed at any moment, goes on: nothing lost, nothing twice."""

import random
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from campus_node.purse.journal_entries import State
from federation.clock import SystemClock
from tests.terminal_process.running import CARD_FEN, RunningTerminal, make_terminal, without_limits

pytestmark = pytest.mark.slow


def test_it_sells_says_so_and_stops_cleanly(tmp_path: Path) -> None:
    with RunningTerminal(make_terminal(tmp_path / "till-1")) as till:
        till.start()
        till.sell("1", "2", ".", "5")
        till.wait_until(lambda: till.status()["journal"]["last_seq"] > 0)
        status = till.status()
        assert status["terminal_id"] == "112233445566"
        assert (status["online"], status["line"]["kind"]) == (False, "none")
        assert "脱机" in till.ask("/")
        assert till.terminate() == 0
        assert not till.place.ports_path.exists()
        assert till.status()["running"] is False
        assert till.status()["state"] == "stopped"
    (sold,) = till.sold()
    assert (sold.amount_fen, sold.balance_after_fen, sold.checked) == (1250, CARD_FEN - 1250, True)


def test_kills_at_any_moment_lose_nothing_and_charge_nothing_twice(tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    clock = SystemClock()
    place = make_terminal(tmp_path / "till-1")
    without_limits(place)
    with RunningTerminal(place) as till:
        for _ in range(6):
            till.start()
            tap = threading.Thread(target=tap_until_it_dies, args=(till,))
            tap.start()
            clock.sleep(luck.uniform(0.05, 1.2))  # the moment of the kill, not a wait for something
            till.kill()
            tap.join()
        till.start()
        till.press("cancel")
        till.sell("9")  # settles what the last kill left in doubt, too
        till.terminate()
        paid = [each for each in till.movements() if each.state is State.DONE]
        unsettled = [each for each in till.movements() if not each.settled]
    print(f"{len(paid)} paid, {len(till.movements())} movements")
    assert not unsettled
    spent = sum(each.amount_fen for each in paid)
    assert paid[-1].balance_after_fen == CARD_FEN - spent, "what the card lost is what the journal says"
    numbers = [each.card_seq for each in paid]
    assert len(set(numbers)) == len(numbers)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "every debit of the card is here"


def tap_until_it_dies(till: RunningTerminal) -> None:
    """Sell as fast as the till shows it; whatever breaks, the kill did it."""
    for amount in range(1, 100):
        try:
            till.press("cancel", *str(amount % 9 + 1), ".", *f"{amount % 90 + 10}")
            if till.hand("state") == "empty":
                till.hand("lay")
            till.hand("take")
        except (OSError, urllib.error.URLError, ValueError):
            return


def test_a_page_of_somebody_else_cannot_press_keys(tmp_path: Path) -> None:
    with RunningTerminal(make_terminal(tmp_path / "till-1")) as till:
        till.start()
        port = till.status()["view_port"]
        for headers in (
            {},  # a form of any page
            {"X-Till": "1", "Origin": "http://evil.example"},
            {"X-Till": "1", "Host": "evil.example"},  # a name that was bent to this machine
        ):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/key", data=b"1", headers=headers)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=10)
            assert refused.value.code == 403


def test_the_terminal_waits_for_a_psam_that_is_not_there(tmp_path: Path) -> None:
    place = make_terminal(tmp_path / "till-1", {"sam": {"reader": "soft:nowhere"}})
    with RunningTerminal(place) as till:
        till.start(until=lambda: till.status().get("state") == "blocked")
        assert till.status()["mood"] == "blocked"
        assert till.terminate() == 0


def test_a_crash_is_followed_by_a_start_and_a_stop_is_not(tmp_path: Path) -> None:
    with RunningTerminal(make_terminal(tmp_path / "till-1"), launched=True) as till:
        till.start()
        first = till.status()["pid"]
        import os
        import signal

        os.kill(first, signal.SIGKILL)
        till.wait_until(lambda: till.status().get("running", False) and till.status()["pid"] != first)
        till.wait_until(till.is_ready)
        till.sell("1")
        assert till.terminate() == 0
        assert till.status()["running"] is False
