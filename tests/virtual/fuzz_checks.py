"""What must hold for any random bytes, turned into commands: each check sends them and returns how many."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.crypto import key_of
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import Flags, KeyEntry, Usage
from hil_rig.virtual.psam import VirtualPsam
from tests.virtual.fuzz_commands import CARD_BOOK, MAKERS_BOOK, PSAM_BOOK, commands_of
from tests.virtual.talk import SELECT, SELECT_ISSUER, constant, octets, purse, tell, worked_card

TABLE = frozenset({
    0x9000, 0x6281, 0x6283, 0x6400, 0x6581, 0x6700, 0x6900, 0x6901, 0x6981, 0x6982, 0x6983, 0x6984, 0x6985,
    0x6987, 0x6988, 0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A84, 0x6A86, 0x6A88, 0x6B00, 0x6D00, 0x6E00, 0x6F00,
    0x9302, 0x9303, 0x9401, 0x9402, 0x9403, 0x9406, 0x9407, 0x9408,
})  # fmt: skip
RANDOM: Final = "A1B2C3D4E5F60718293A4B5C6D7E8F90"
OTHER_VALUE: Final = octets("0F1E2D3C4B5A69788796A5B4C3D2E1F0")
TRANSPORT: Final = key_of(0x00, octets("404142434445464748494A4B4C4D4E4F"))

Device = VirtualCard | VirtualPsam

CARD: Final = load_card_profile("card-both")
CONTACT_CARD: Final = replace(CARD, flags=Flags(get_response=True))
TWIN_CARD: Final = replace(CARD, keys=tuple(replace(key, value=OTHER_VALUE) for key in CARD.keys))
PSAM: Final = load_psam_profile("psam")


def _with_another_purchase_key(entry: KeyEntry) -> KeyEntry:
    return replace(entry, value=OTHER_VALUE) if entry.type == Usage.PURCHASE else entry


TWIN_PSAM: Final = replace(
    PSAM,
    applications=tuple(
        replace(each, keys=tuple(map(_with_another_purchase_key, each.keys))) for each in PSAM.applications
    ),
)


def in_table(answer: bytes) -> bool:
    """Whether an answer ends with a status word that exists."""
    sw = int.from_bytes(answer[-2:])
    return len(answer) >= 2 and (sw in TABLE or sw & 0xFFF0 == 0x63C0 or sw >> 8 in {0x61, 0x6C})


def secrets_of(device: Device) -> list[bytes]:
    """Return both halves of every key that the device holds."""
    values = [value[4:] for slot, value in device.memory.slots.items() if "/k/" in slot]
    return [half for value in values for half in (value[:8], value[8:])]


def kept(device: Device) -> dict[str, bytes]:
    """Return purses, proofs, log, files and keys: what nobody may change who has no key."""
    parts = ("/p/", "/x/", "/r/", "/l/", "/k/", "/f/", "/b/", "/d")
    return {slot: value for slot, value in device.memory.slots.items() if any(part in slot for part in parts)}


def give(device: Device, commands: list[bytes]) -> list[bytes]:
    """Send commands and check every answer; return the answers."""
    secrets, answers = secrets_of(device), []
    assert secrets, "a device without keys proves nothing"
    for command in commands:
        answer = device.process(command)
        assert in_table(answer), f"{command.hex()} -> {answer.hex()}"
        assert len(answer) <= 258
        assert not any(secret in answer for secret in secrets), f"{command.hex()} -> {answer.hex()}"
        answers.append(answer)
    return answers


def card_3des(noise: bytes) -> int:
    """A 3DES card with money and its PIN verified keeps its money and its keys."""
    return _keeps(worked_card("3des", ep=purse(1000), ed=purse(1000)), list(commands_of(noise, CARD_BOOK)))


def card_sm4(noise: bytes) -> int:
    """So does an SM4 card."""
    return _keeps(worked_card("sm4", ep=purse(1000), ed=purse(1000)), list(commands_of(noise, CARD_BOOK)))


def contact_card(noise: bytes) -> int:
    """So does a card whose answers are fetched."""
    made = VirtualCard(CONTACT_CARD, None, constant(RANDOM))
    made.power_on()
    return _keeps(made, [octets(SELECT), *commands_of(noise, CARD_BOOK)])


def psam(noise: bytes) -> int:
    """A PSAM keeps its keys, its counter only rises, and no MAC2 is guessed."""
    sam = VirtualPsam(PSAM, None, constant(RANDOM))
    sam.power_on()
    tell(sam, SELECT_ISSUER)
    commands, before = list(commands_of(noise, PSAM_BOOK)), kept(sam)
    counter = sam.memory.slots["0/seq"]
    for command, answer in zip(commands, give(sam, commands), strict=True):
        risen = sam.memory.slots["0/seq"]
        assert risen >= counter, command.hex()
        assert answer[-2:] != b"\x90\x00" or command[:2] != b"\x80\x72", command.hex()
    assert kept(sam) == before
    return len(commands)


def psam_twins(noise: bytes) -> int:
    """Two PSAMs differ in nothing but their purchase keys: only MAC1 of 80 70 tells them apart."""
    twins = [VirtualPsam(made, None, constant(RANDOM)) for made in (PSAM, TWIN_PSAM)]
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


def card_twins(noise: bytes) -> int:
    """Two cards differ in nothing but their keys: only MACs and INTERNAL AUTHENTICATE tell them apart."""
    twins = [VirtualCard(made, None, constant(RANDOM)) for made in (CARD, TWIN_CARD)]
    for made in twins:
        made.memory.commit({"1/p/2": purse(1000).packed(), "1/p/1": purse(1000).packed()})
        made.power_on()
        tell(made, SELECT, "00 20 00 00 03 123456")
    commands = list(commands_of(noise, CARD_BOOK))
    for command in commands:
        one, two = (made.process(command) for made in twins)
        if one[-2:] == two[-2:] == b"\x90\x00" and command[:2] in {b"\x80\x50", b"\x04\xb0", b"\x00\x88"}:
            proof = 2 + (len(one) if command[1] == 0x88 else 4)
            one, two = one[:-proof], two[:-proof]
        assert one == two, command.hex()
    return len(commands)


def makers_card(noise: bytes) -> int:
    """Protected commands with right MACs and random content break no card: who personalises it may err."""
    blank = VirtualCard(load_card_profile("card-blank"), None, constant(RANDOM))
    return _made_by_somebody_who_errs(blank, noise)


def makers_psam(noise: bytes) -> int:
    """Nor a PSAM."""
    blank = VirtualPsam(load_psam_profile("psam-blank"), None, constant(RANDOM))
    return _made_by_somebody_who_errs(blank, noise)


CHECKS: Final[dict[str, Callable[[bytes], int]]] = {
    check.__name__: check
    for check in (card_3des, card_sm4, contact_card, psam, psam_twins, card_twins, makers_card, makers_psam)
}


def _keeps(made: VirtualCard, commands: list[bytes]) -> int:
    before = kept(made)
    give(made, commands)
    assert kept(made) == before
    made.power_on()
    return len(commands)


def _made_by_somebody_who_errs(made: Device, noise: bytes) -> int:
    made.power_on()
    commands: list[bytes] = []
    for command in commands_of(noise, MAKERS_BOOK):
        if len(command) >= 4:
            commands += _protected(command)
    give(made, commands)
    made.power_on()
    assert in_table(made.process(octets("00 A4 00 00 02 3F00")))
    return len(commands)


def _protected(command: bytes) -> list[bytes]:
    """Return the command as its book has it, with Lc, and with challenge and MAC if its class wants them."""
    header, content = bytes((command[0] | 0x04 if command[0] else 0x00,)) + command[1:4], command[4:200]
    if not header[0] & 0x04:
        return [header + (bytes([len(content)]) + content if content else b"")]
    if header[1] == 0xD4 and header[2] == 0 and content:
        plain = bytes([len(content)]) + content
        padding = b"\x80".ljust(-len(plain) % 8, b"\0") if len(plain) % 8 else b""
        content = TRANSPORT.encrypt(plain + padding)
    header += bytes([len(content) + 4])
    mac = TRANSPORT.mac(header + content, octets(RANDOM)[:4])
    return [octets("00 84 00 00 04"), header + content + mac]
