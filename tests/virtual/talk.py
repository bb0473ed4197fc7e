"""How these tests talk to a card or a PSAM: hexadecimal in, hexadecimal out."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import CardProfile, Flags, KeyEntry, Usage
from hil_rig.virtual.psam import VirtualPsam
from hil_rig.virtual.purse_file import Purse

SELECT = "00 A4 04 00 09 A00000000386980701"
SELECT_MF = "00 A4 00 00 02 3F00"
SELECT_ISSUER = "00 A4 04 00 08 4355434100000001"
VERIFY = "00 20 00 00 03 123456"
CHALLENGE = "00 84 00 00 04"

# The worked example: root 00112233445566778899AABBCCDDEEFF, region B9E3B6ABB9E3B6AB, serial 1234567890123456.
# The key of the card is used for everything, the TAC included.
CARD_KEY_3DES = "BEE2FD44080F424561599C0F14E824B5"
CARD_KEY_SM4 = "FBE57DB6947D0E7CFC6EC490C3EBA762"
CARD_RANDOM = "A1B2C3D4"


def octets(text: str) -> bytes:
    """Return the bytes of hexadecimal digits; blanks are for people."""
    return bytes.fromhex(text.replace(" ", ""))


def ask(device: VirtualCard | VirtualPsam, command: str | bytes) -> str:
    """Return the whole answer to a command as upper-case hexadecimal digits."""
    return device.process(octets(command) if isinstance(command, str) else command).hex().upper()


def tell(device: VirtualCard | VirtualPsam, *commands: str) -> None:
    """Give commands that must succeed."""
    for command in commands:
        answer = ask(device, command)
        assert answer.endswith("9000") or answer.startswith("61"), f"{command} -> {answer}"


def constant(*draws: str) -> Callable[[int], bytes]:
    """Return a source of "random" bytes: these draws in turn, the last one for ever."""
    left = [octets(draw) for draw in draws]

    def random_bytes(length: int) -> bytes:
        draw = left.pop(0) if len(left) > 1 else left[0]
        assert len(draw) >= length
        return draw[:length]

    return random_bytes


def keys(value: str, algorithm: int, *, index: int = 1, version: int = 1) -> tuple[KeyEntry, ...]:
    """Return one key of each usage, all with the same value."""
    usages = [usage for usage in Usage if usage is not Usage.PIN]
    return tuple(KeyEntry(usage, 0, index, version, algorithm, octets(value)) for usage in usages)


def card_profile(*entries: KeyEntry, flags: Flags | None = None) -> CardProfile:
    """Return the shipped 3DES card with these keys instead of its own, and no keys in its MF."""
    profile = load_card_profile("card-3des")
    return replace(profile, keys=entries or profile.keys, flags=flags or profile.flags)


def card(
    *entries: KeyEntry,
    flags: Flags | None = None,
    random: Callable[[int], bytes] | None = None,
    ep: Purse | None = None,
    ed: Purse | None = None,
    verified: bool = True,
    memory: Memory | None = None,
) -> VirtualCard:
    """Return a card with these keys and purses, its application selected and its PIN verified."""
    profile = card_profile(*entries, flags=flags)
    made = VirtualCard(profile, memory, random or constant(CARD_RANDOM + "00" * 12))
    purses = {"1/p/2": ep, "1/p/1": ed}
    made.memory.commit({slot: purse.packed() for slot, purse in purses.items() if purse})
    made.power_on()
    tell(made, SELECT, *([VERIFY] if verified else []))
    return made


def worked_card(algorithm: str, ep: Purse | None = None, ed: Purse | None = None) -> VirtualCard:
    """Return the card of the worked example, "3des" or "sm4"."""
    if algorithm == "3des":
        return card(*keys(CARD_KEY_3DES, 0x00), ep=ep, ed=ed)
    return card(*keys(CARD_KEY_SM4, 0x04), ep=ep, ed=ed)


def purse(
    balance_fen: int = 0, *, online: int = 3, offline: int = 5, overdraft_fen: int = 0, max_fen: int = 100_000
) -> Purse:
    """Return what a purse file holds; the counters are those of the worked example."""
    return Purse(balance_fen, online, offline, overdraft_fen, max_fen)


def psam(random: Callable[[int], bytes] | None = None) -> VirtualPsam:
    """Return the shipped PSAM with the application of the first issuer selected."""
    made = VirtualPsam(load_psam_profile("psam"), None, random or constant("5D72B3FD" + "00" * 12))
    made.power_on()
    tell(made, SELECT_ISSUER)
    return made


def statuses(device: VirtualCard | VirtualPsam, commands: Iterable[str]) -> list[str]:
    """Return the status word of each command."""
    return [ask(device, command)[-4:] for command in commands]
