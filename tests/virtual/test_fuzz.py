"""Whatever is sent: no crash, a status word from the table, no key in an answer, no money without a MAC.

`make test` sends more than 20,000 commands, `make soak` a million. Hypothesis makes the bytes and prints the
shortest sequence that fails; `make fuzz` goes where the code has not been yet.
"""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.soak import size
from tests.virtual.fuzz_checks import CHECKS, kept
from tests.virtual.talk import octets, purse, tell, worked_card

COMMANDS_EACH = size(2_500, 125_000)
COMMANDS_AN_EXAMPLE = 40  # fewer than the average; the test counts


@pytest.mark.parametrize("name", CHECKS)
def test_whatever_is_sent(name: str, seed: int) -> None:
    """See tests/virtual/fuzz_checks.py for what each name demands."""
    sent = 0

    @seeded(seed)
    @settings(
        max_examples=COMMANDS_EACH // COMMANDS_AN_EXAMPLE,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=350, max_size=700))
    def run(noise: bytes) -> None:
        nonlocal sent
        sent += CHECKS[name](noise)

    run()
    print(f"{name}: {sent} commands")
    assert sent >= COMMANDS_EACH


def _flips(command: str) -> list[bytes]:
    whole = octets(command)
    return [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
        for at in range(5, 5 + whole[4])
        for bit in range(8)
    ]


@pytest.mark.parametrize(
    ("begin", "finish"),
    [
        ("80 50 01 02 0B 01 00000064 112233445566 0F", "80 54 01 00 0F 00000007 20240411 212121 83A77D6E 08"),
        ("80 50 03 02 0B 01 00000064 112233445566 0F", "80 54 01 00 0F 00000007 20240411 212121 65C8A775 08"),
        ("80 50 05 01 0B 01 00000190 112233445566 10", "80 54 03 00 0B 20240411 212121 E37FDFEA 04"),
        ("80 50 04 01 07 01 112233445566 13", "80 58 00 00 0E 0001F4 20240411 212121 E9B07451 04"),
    ],
)
def test_no_bit_of_a_final_command_can_be_changed(begin: str, finish: str) -> None:
    """But the upper half of the terminal's counter: only the lower half is in the session key."""
    refused = 0
    for flipped in _flips(finish):
        made = worked_card("3des", ep=purse(1000), ed=purse(1000))
        before = kept(made)
        tell(made, begin)
        answer = made.process(flipped)
        if flipped[1:3] == b"\x54\x01" and flipped[5:7] != b"\0\0":
            assert answer[-2:] == b"\x90\x00", flipped.hex()
            continue
        assert answer == b"\x93\x02", flipped.hex()
        assert kept(made) == before
        refused += 1
    assert refused == 8 * octets(finish)[4] - (16 if "54 01" in finish else 0)
