"""Whose turn it is at the gateway."""

from itertools import islice

from campus_node.gateway.fairness import FairQueue


def test_a_terminal_with_much_to_say_waits_behind_itself_only() -> None:
    queue: FairQueue[str, int, str] = FairQueue()
    for number in range(50):
        assert queue.put("can0", 1, f"loud {number}")
    queue.put("can0", 254, "quiet")
    assert list(islice(queue.take(), 3)) == ["loud 0", "quiet", "loud 1"]
    assert len(queue) == 48


def test_a_line_with_many_terminals_does_not_outweigh_one_with_few() -> None:
    queue: FairQueue[str, int, str] = FairQueue()
    for address in range(1, 60):
        queue.put("can0", address, "bus")
    for number in range(3):
        queue.put("tcp", 1, f"tcp {number}")
    assert list(islice(queue.take(), 6)) == ["bus", "tcp 0", "bus", "tcp 1", "bus", "tcp 2"]


def test_every_terminal_has_had_a_turn_before_anyone_has_a_second() -> None:
    queue: FairQueue[str, int, int] = FairQueue()
    for _ in range(3):
        for address in range(1, 255):
            queue.put("can0", address, address)
    taken = list(queue.take())
    assert [sorted(taken[at : at + 254]) for at in (0, 254, 508)] == [list(range(1, 255))] * 3
    assert not len(queue)


def test_what_one_terminal_may_have_waiting_is_bounded() -> None:
    queue: FairQueue[str, int, int] = FairQueue(waiting_max=2)
    assert [queue.put("can0", 7, number) for number in range(3)] == [True, True, False]
    assert queue.put("can0", 8, 0)
    assert list(queue.take()) == [0, 0, 1]
