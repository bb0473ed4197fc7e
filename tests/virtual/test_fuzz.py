"""Whatever is sent: no crash, a status word from the table, no key in an answer, no money without a MAC.

`make test` sends some 20,000 commands, `make soak` a million. Hypothesis makes the bytes and prints the
shortest sequence that fails.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.crypto import key_of
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import Flags, KeyEntry, Usage
from hil_rig.virtual.psam import VirtualPsam
from tests.soak import size
from tests.virtual.fuzz_commands import CARD_BOOK, MAKERS_BOOK, PSAM_BOOK, commands_of
from tests.virtual.talk import SELECT, SELECT_ISSUER, constant, octets, purse, tell, worked_card

TABLE = frozenset({
    0x9000, 0x6281, 0x6283, 0x6400, 0x6581, 0x6700, 0x6900, 0x6901, 0x6981, 0x6982, 0x6983, 0x6984, 0x6985,
    0x6987, 0x6988, 0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A84, 0x6A86, 0x6A88, 0x6B00, 0x6D00, 0x6E00, 0x6F00,
    0x9302, 0x9303, 0x9401, 0x9402, 0x9403, 0x9406, 0x9407, 0x9408,
})  # fmt: skip
RANDOM = "A1B2C3D4E5F60718293A4B5C6D7E8F90"
OTHER_VALUE = octets("0F1E2D3C4B5A69788796A5B4C3D2E1F0")

Device = VirtualCard | VirtualPsam


def in_table(answer: bytes) -> bool:
    """Whether an answer ends with a status word that exists."""
    sw = int.from_bytes(answer[-2:])
    return len(answer) >= 2 and (sw in TABLE or sw & 0xFFF0 == 0x63C0 or sw >> 8 in {0x61, 0x6C})


def fuzzed(examples: int, chosen_seed: int, check: Callable[[bytes], int]) -> int:
    """Run `check` on that many runs of random bytes; return how many commands it sent."""
    sent = 0

    @seeded(chosen_seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=350, max_size=700))
    def run(noise: bytes) -> None:
        nonlocal sent
        sent += check(noise)

    run()
    return sent


def secrets_of(device: Device) -> list[bytes]:
    """Return both halves of every key that the device holds."""
    values = [value[4:] for slot, value in device.memory.slots.items() if "/k/" in slot]
    assert values
    return [half for value in values for half in (value[:8], value[8:])]


def moneys(device: Device) -> dict[str, bytes]:
    """Return purses, proofs, log, keys and PIN: what nobody may change who has no key."""
    kept = ("/p/", "/x/", "/r/", "/l/", "/k/", "/f/", "/b/", "/d")
    return {slot: value for slot, value in device.memory.slots.items() if any(part in slot for part in kept)}


def give(device: Device, commands: list[bytes]) -> list[bytes]:
    """Send commands and check every answer; return the answers."""
    secrets, answers = secrets_of(device), []
    for command in commands:
        answer = device.process(command)
        assert in_table(answer), f"{command.hex()} -> {answer.hex()}"
        assert len(answer) <= 258
        assert not any(secret in answer for secret in secrets), f"{command.hex()} -> {answer.hex()}"
        answers.append(answer)
    return answers


@pytest.mark.parametrize("name", ["3des", "sm4"])
def test_whatever_is_sent_to_a_card_moves_no_money_and_tells_no_key(name: str, seed: int) -> None:
    def check(noise: bytes) -> int:
        made = worked_card(name, ep=purse(1000), ed=purse(1000))
        commands, before = list(commands_of(noise, CARD_BOOK)), moneys(made)
        give(made, commands)
        assert moneys(made) == before
        made.power_on()
        return len(commands)

    assert fuzzed(size(130, 8_000), seed, check) >= size(4_000, 240_000)


def test_whatever_is_sent_to_a_psam_tells_no_key_and_its_counter_only_rises(seed: int) -> None:
    def check(noise: bytes) -> int:
        sam = VirtualPsam(load_psam_profile("psam"), None, constant(RANDOM))
        sam.power_on()
        tell(sam, SELECT_ISSUER)
        commands, before = list(commands_of(noise, PSAM_BOOK)), moneys(sam)
        counter = sam.memory.slots["0/seq"]
        for command, answer in zip(commands, give(sam, commands), strict=True):
            risen = sam.memory.slots["0/seq"]
            assert risen >= counter, command.hex()
            assert answer[-2:] != b"\x90\x00" or command[:2] != b"\x80\x72", "no MAC2 is guessed"
        assert moneys(sam) == before
        return len(commands)

    assert fuzzed(size(130, 8_000), seed, check) >= size(4_000, 240_000)


def test_no_sequence_of_commands_computes_with_a_purchase_key(seed: int) -> None:
    """Two PSAMs differ in nothing but their purchase keys: only MAC1 of 80 70 tells them apart."""
    profile = load_psam_profile("psam")

    def other(entry: KeyEntry) -> KeyEntry:
        return replace(entry, value=OTHER_VALUE) if entry.type == Usage.PURCHASE else entry

    changed = [replace(a, keys=tuple(map(other, a.keys))) for a in profile.applications]
    twin_profile = replace(profile, applications=tuple(changed))

    def check(noise: bytes) -> int:
        twins = [VirtualPsam(made, None, constant(RANDOM)) for made in (profile, twin_profile)]
        for sam in twins:
            sam.power_on()
            tell(sam, SELECT_ISSUER)
        commands = list(commands_of(noise, PSAM_BOOK))
        for command in commands:
            one, two = (sam.process(command) for sam in twins)
            if command[:2] == b"\x80\x70" and len(one) == 10:
                one, two = one[:4] + one[8:], two[:4] + two[8:]
            assert one == two, command.hex()
        return len(commands)

    assert fuzzed(size(130, 8_000), seed, check) >= size(4_000, 240_000)


def test_answers_depend_on_a_cards_keys_only_where_they_prove_something(seed: int) -> None:
    """Two cards differ in nothing but their keys: only MACs and INTERNAL AUTHENTICATE differ."""
    profile = load_card_profile("card-both")
    twin_profile = replace(profile, keys=tuple(replace(key, value=OTHER_VALUE) for key in profile.keys))

    def check(noise: bytes) -> int:
        twins = [VirtualCard(made, None, constant(RANDOM)) for made in (profile, twin_profile)]
        for card in twins:
            card.memory.commit({"1/p/2": purse(1000).packed(), "1/p/1": purse(1000).packed()})
            card.power_on()
            tell(card, SELECT, "00 20 00 00 03 123456")
        commands = list(commands_of(noise, CARD_BOOK))
        for command in commands:
            one, two = (card.process(command) for card in twins)
            if one[-2:] == two[-2:] == b"\x90\x00" and command[:2] in {b"\x80\x50", b"\x04\xb0", b"\x00\x88"}:
                proof = 2 + (len(one) if command[1] == 0x88 else 4)
                one, two = one[:-proof], two[:-proof]
            assert one == two, command.hex()
        return len(commands)

    assert fuzzed(size(130, 8_000), seed, check) >= size(4_000, 240_000)


@pytest.mark.parametrize("kind", ["card", "psam"])
def test_not_even_who_holds_the_maintenance_key_can_break_the_chip(kind: str, seed: int) -> None:
    """Protected commands with right MACs and random content: personalisation by somebody who errs."""
    transport = key_of(0x00, octets("404142434445464748494A4B4C4D4E4F"))

    def check(noise: bytes) -> int:
        made: Device = (
            VirtualCard(load_card_profile("card-blank"), None, constant(RANDOM))
            if kind == "card"
            else VirtualPsam(load_psam_profile("psam-blank"), None, constant(RANDOM))
        )
        made.power_on()
        commands = []
        for command in commands_of(noise, MAKERS_BOOK):
            if len(command) < 4:
                continue
            content = command[4:200]
            head = bytes((command[0] | 0x04 if command[0] != 0x00 else 0x00,)) + command[1:4]
            if head[0] & 0x04:
                if head[1] == 0xD4 and head[2] == 0 and content:
                    plain = bytes([len(content)]) + content
                    content = transport.encrypt(
                        plain + (b"\x80".ljust(-len(plain) % 8, b"\0") if len(plain) % 8 else b"")
                    )
                head += bytes([len(content) + 4])
                commands += [
                    octets("00 84 00 00 04"),
                    head + content + transport.mac(head + content, octets(RANDOM)[:4]),
                ]
            else:
                commands.append(head + (bytes([len(content)]) + content if content else b""))
        give(made, commands)
        made.power_on()
        assert in_table(made.process(octets("00 A4 00 00 02 3F00")))
        return len(commands)

    assert fuzzed(size(100, 6_000), seed, check) >= size(2_000, 120_000)


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
        before = moneys(made)
        tell(made, begin)
        answer = made.process(flipped)
        if flipped[1:3] == b"\x54\x01" and flipped[5:7] != b"\0\0":
            assert answer[-2:] == b"\x90\x00", flipped.hex()
            continue
        assert answer == b"\x93\x02", flipped.hex()
        assert moneys(made) == before
        refused += 1
    assert refused == 8 * octets(finish)[4] - (16 if "54 01" in finish else 0)


def test_a_card_that_speaks_like_a_contact_reader_is_fuzzed_too(seed: int) -> None:
    profile = replace(load_card_profile("card-both"), flags=Flags(get_response=True))

    def check(noise: bytes) -> int:
        made = VirtualCard(profile, None, constant(RANDOM))
        made.power_on()
        commands = [octets(SELECT), *commands_of(noise, CARD_BOOK)]
        before = moneys(made)
        give(made, commands)
        assert moneys(made) == before
        return len(commands)

    assert fuzzed(size(60, 4_000), seed, check) >= size(1_500, 100_000)
