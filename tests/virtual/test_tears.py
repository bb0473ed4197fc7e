"""Power is lost at every byte of every write of commands that change something: all happened, or nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.memory import Memory, PowerLost
from hil_rig.virtual.profile import load_card_profile
from hil_rig.virtual.psam import VirtualPsam
from tests.virtual.talk import (
    CARD_KEY_3DES,
    CHALLENGE,
    SELECT,
    SELECT_ISSUER,
    VERIFY,
    ask,
    card,
    constant,
    keys,
    octets,
    psam,
    purse,
    tell,
    worked_card,
)

Device = VirtualCard | VirtualPsam

# What leads to a change, the command that makes it, and how its proof is asked for afterwards.
MONEY = {
    "purchase": (
        ["80 50 01 02 0B 01 00000064 112233445566 0F"],
        "80 54 01 00 0F 00000007 20240411 212121 83A77D6E 08",
        ("06", "0006", "EFE068466B0F7B93"),
    ),
    "mixed purchase": (
        [
            "80 50 03 02 0B 01 00000064 112233445566 0F",
            "80 DC 11 B8 06 11 1D 00 AABBCC",
            "80 DC 12 B8 06 12 1D 00 DDEEFF",
        ],
        "80 54 01 00 0F 00000007 20240411 212121 65C8A775 08",
        ("09", "0006", "EFE068467F2AB102"),
    ),
    "load": (
        ["80 50 00 02 0B 01 000003E8 112233445566 10"],
        "80 52 00 00 0B 20240411 212121 {load} 04",
        ("02", "0004", None),
    ),
    "unload": (
        ["80 50 05 01 0B 01 00000190 112233445566 10"],
        "80 54 03 00 0B 20240411 212121 E37FDFEA 04",
        ("03", "0004", "F3D10B8400000000"),
    ),
    "overdraft limit": (
        ["80 50 04 01 07 01 112233445566 13"],
        "80 58 00 00 0E 0001F4 20240411 212121 E9B07451 04",
        ("07", "0004", None),
    ),
}
LOAD_MAC2 = "FF96D3EE"


def state(made: Device) -> dict[str, bytes]:
    """Return everything that the chip has stored."""
    return dict(made.memory.slots)


def fresh() -> VirtualCard:
    return worked_card("3des", ep=purse(1000), ed=purse(1000))


@pytest.mark.parametrize("case", MONEY)
def test_money_moves_wholly_or_not_at_all(case: str) -> None:
    before_it, command, (kind, counter, proof) = MONEY[case]
    command = command.format(load=LOAD_MAC2)
    whole = fresh()
    tell(whole, *before_it)
    writes = whole.memory.writes
    answer = ask(whole, command)
    assert answer.endswith("9000")
    assert whole.memory.writes == writes + 1, "one transaction is one write"
    length = whole.memory.last_write_bytes
    new = state(whole)
    for byte in range(length + 1):
        torn = fresh()
        tell(torn, *before_it)
        old = state(torn)
        torn.memory.tear(write=1, byte=byte)
        with pytest.raises(PowerLost):
            ask(torn, command)
        with pytest.raises(PowerLost):
            ask(torn, SELECT)
        torn.power_on()
        done = byte == length
        assert state(torn) == (new if done else old), byte
        tell(torn, SELECT, VERIFY)
        proved = ask(torn, f"80 5A 00 {kind} 02 {counter} 08")
        assert (proved == "9406") != done
        if done and proof:
            assert proved == proof + "9000"
        assert ask(torn, command) == "6901", "the session is gone either way"
        tell(torn, before_it[0])


@pytest.mark.parametrize("case", MONEY)
def test_the_first_step_stores_nothing(case: str) -> None:
    made = fresh()
    writes = made.memory.writes
    tell(made, *MONEY[case][0])
    assert made.memory.writes == writes


def check_every_tear(
    make: Callable[[], Device], before_it: list[str], command: str, allowed: Callable[[Device], bool]
) -> int:
    """Tear a command at every byte of each of its writes; `allowed` judges the chip after power came back."""
    whole = make()
    tell(whole, *before_it)
    lengths: list[int] = []
    memory = whole.memory
    first = memory.writes
    ask(whole, command)
    writes = memory.writes - first
    places = 0
    for write in range(1, writes + 1):
        byte, fell = 0, True
        while fell:
            torn = make()
            tell(torn, *before_it)
            torn.memory.tear(write, byte)
            with pytest.raises(PowerLost):
                ask(torn, command)
            fell = byte <= torn.memory.last_write_bytes
            if fell:
                torn.power_on()
                assert allowed(torn), (write, byte)
                places += 1
            byte += 1
        lengths.append(byte)
    return places


def test_a_torn_wrong_pin_costs_a_try_or_is_undecided_but_never_gains_one() -> None:
    """Of three tries two are spent; whatever is torn, a wrong PIN can be compared at most once more."""
    wrong = "00 20 00 00 03 000000"

    def make() -> VirtualCard:
        made = card(*keys(CARD_KEY_3DES, 0x00), verified=False)
        for _ in range(2):
            ask(made, wrong)
        return made

    def allowed(made: Device) -> bool:
        tell(made, SELECT)
        return ask(made, wrong) in {"63C0", "6983"}

    assert check_every_tear(make, [], wrong, allowed) > 10


def test_a_torn_wrong_unblock_never_gains_a_try() -> None:
    wrong = "84 18 00 00 04 00000000"

    def make() -> VirtualCard:
        made = card(*keys(CARD_KEY_3DES, 0x00), random=constant("5D72B3FD"))
        tell(made, CHALLENGE, "84 1E 00 00 04 07B17993")
        for _ in range(2):
            ask(made, CHALLENGE)
            assert ask(made, wrong) == "6988"
        return made

    def allowed(made: Device) -> bool:
        ask(made, SELECT)
        ask(made, CHALLENGE)
        return ask(made, wrong) == "9303"

    assert check_every_tear(make, [CHALLENGE], wrong, allowed) > 10


def test_a_torn_right_pin_leaves_a_counter_that_can_be_used() -> None:
    def make() -> VirtualCard:
        return card(*keys(CARD_KEY_3DES, 0x00), verified=False)

    def allowed(made: Device) -> bool:
        tell(made, SELECT)
        return ask(made, VERIFY) == "9000" and ask(made, "00 20 00 00 03 000000") == "63C2"

    assert check_every_tear(make, [], VERIFY, allowed) > 20


def test_a_torn_change_of_the_pin_leaves_the_old_one_or_the_new() -> None:
    def make() -> VirtualCard:
        return card(*keys(CARD_KEY_3DES, 0x00), verified=False)

    def allowed(made: Device) -> bool:
        tell(made, SELECT)
        return [ask(made, VERIFY), ask(made, "00 20 00 00 03 654321")].count("9000") == 1

    assert check_every_tear(make, [], "80 5E 01 00 07 123456 FF 654321", allowed) > 30


@pytest.mark.parametrize(
    ("command", "read", "old", "new"),
    [
        (
            "04 D6 85 00 0C 0011223344556677 98189492",
            "00 B0 85 00 08",
            "00" * 8 + "9000",
            "00112233445566779000",
        ),
        ("84 1E 00 00 04 07B17993", "80 5C 00 02 04", "000003E89000", "6A81"),
        ("84 16 00 00 04 CF2E33E4", SELECT, None, "6A81"),
    ],
)
def test_a_torn_file_or_state_is_the_old_one_or_the_new(
    command: str, read: str, old: str | None, new: str
) -> None:
    def make() -> VirtualCard:
        return card(*keys(CARD_KEY_3DES, 0x00), random=constant("5D72B3FD"), ep=purse(1000))

    seen = set()

    def allowed(made: Device) -> bool:
        ask(made, SELECT)
        answer = ask(made, read)
        seen.add("new" if answer == new else "old")
        return answer == new or (answer == old if old else answer.endswith("9000"))

    assert check_every_tear(make, [CHALLENGE], command, allowed) > 10
    assert seen == {"old", "new"}


def test_a_torn_psam_never_uses_a_counter_twice() -> None:
    init = "80 70 00 00 1C A1B2C3D4 0005 00000064 06 20240411 212121 01 00 0001000000000123 08"
    length = 0
    for byte in range(200):
        sam = psam()
        tell(sam, init)
        sam.memory.tear(write=1, byte=byte)
        with pytest.raises(PowerLost):
            ask(sam, init)
        length = max(length, sam.memory.last_write_bytes)
        sam.power_on()
        tell(sam, SELECT_ISSUER)
        counter = ask(sam, init)[:8]
        assert counter == ("00000003" if byte >= length else "00000002"), (
            "one that was answered never comes again"
        )
        if byte > length:
            break
    assert length > 10


def test_a_torn_count_of_a_wrong_mac2_blocks_no_sooner_and_no_later_than_one_off() -> None:
    init = "80 70 00 00 1C A1B2C3D4 0005 00000064 06 20240411 212121 01 00 0001000000000123 08"

    def allowed(made: Device) -> bool:
        count = int.from_bytes(made.memory.slots.get("1/e", b""))
        return count in {0, 1} and ask(made, SELECT_ISSUER).endswith("9000")

    assert check_every_tear(psam, [init], "80 72 00 00 04 00000000", allowed) > 10


def test_a_card_file_survives_the_process_that_used_it(tmp_path: Path) -> None:
    """The same card, first in one memory object and then in another on the same file."""
    path = tmp_path / "card.nvm"
    before_it, command, (kind, counter, proof) = MONEY["purchase"]
    memory = Memory.open(path)
    made = card(*keys(CARD_KEY_3DES, 0x00), ep=purse(1000), memory=memory)
    tell(made, *before_it, command)
    memory.close()
    again = VirtualCard(load_card_profile("card-3des"), Memory.open(path))
    again.power_on()
    tell(again, SELECT)
    assert ask(again, f"80 5A 00 {kind} 02 {counter} 08") == f"{proof}9000"
    assert octets(ask(again, "80 5C 00 02 04")[:8]) == (900).to_bytes(4)
    again.memory.close()
