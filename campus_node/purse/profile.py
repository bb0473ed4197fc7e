"""Reads card and PSAM profiles (docs/card-profile.md) on the campus's side of the reader.

Profiles with public test keys are refused unless the caller is a test or the rig. A profile for
personalisation names its keys by usage, version and algorithm and holds none: they come from the key store.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from campus_node.keys.hierarchy import Usage, algorithm_named, card_factor, derive
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.files import HolderFile, PublicFile
from campus_node.purse.profile_table import ProfileTable
from campus_node.wording import Sentence
from federation.errors import Misconfigured

_PSAM_USAGES: Final = {"maintenance": Usage.PSAM_MAINTENANCE, "session": Usage.PSAM_SESSION}
SESSION_INDEX_MAX: Final = 0x1F


@dataclass(frozen=True, slots=True)
class ProfileKey:
    """One key of a profile.

    Args:
        index: by which a card's command, or 80 1A, names it.
        levels: of a PSAM: how many factors its commands must bring.
        value: 16 bytes as it stands in the card; None where the key store has it. Not shown.
    """

    usage: Usage
    index: int
    version: int
    algorithm: Algorithm
    levels: int = 0
    value: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ProfilePurse:
    """One purse of a card, in fen."""

    balance_fen_max: int
    overdraft_fen: int = 0


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A file besides 0015, 0016 and 0018: transparent, or of records id1 ‖ len1 ‖ lock1 ‖ zeros.

    Args:
        write: "free", "maintenance" or "never".
    """

    file_id: int
    sfi: int
    content: bytes = b""
    write: str = "maintenance"
    records: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class CardProfile:
    """A purse card. `pin` is not shown; a blank card's profile has keys of the MF only."""

    blank: bool
    test_keys: bool
    atr: bytes
    mf_keys: tuple[ProfileKey, ...]
    aid: bytes = b""
    issuer: bytes = b""
    asn: bytes = b""
    pin: bytes = field(default=b"", repr=False)
    pin_tries: int = 3
    public: PublicFile | None = None
    holder: HolderFile | None = None
    ep: ProfilePurse | None = None
    ed: ProfilePurse | None = None
    files: tuple[ProfileFile, ...] = ()
    keys: tuple[ProfileKey, ...] = ()
    options: int = 0

    def key(self, usage: Usage, index: int | None = None) -> ProfileKey:
        """Return the card's key of a usage: of that index, else the first one.

        Raises:
            Misconfigured: the profile has none.
        """
        for key in self.keys:
            if key.usage is usage and index in {None, key.index}:
                return key
        raise Misconfigured(Sentence("the profile has no key for {usage}", usage=usage.value))


@dataclass(frozen=True, slots=True)
class SamApplication:
    """What a PSAM holds for one issuer, 8 bytes."""

    issuer: bytes
    keys: tuple[ProfileKey, ...]


@dataclass(frozen=True, slots=True)
class PsamProfile:
    """A PSAM. A blank one's profile has keys of the MF only."""

    blank: bool
    test_keys: bool
    atr: bytes
    keys: tuple[ProfileKey, ...]
    serial: bytes = b""
    serial_file: bytes = b""
    terminal_id: bytes = b""
    bank_factor_first: bool = False
    mac2_tries: int = 100
    applications: tuple[SamApplication, ...] = ()


def read_profile(path: Path, *, allow_test_keys: bool = False) -> CardProfile | PsamProfile:
    """Return the profile in a file.

    Args:
        allow_test_keys: True in tests and the rig only.

    Raises:
        Misconfigured: no file, unknown, missing or wrong entries, or public test keys where they may not be.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(
            Sentence("{path} cannot be read: {reason}", path=path, reason=error.strerror)
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(Sentence("{path} is no TOML: {reason}", path=path, reason=error)) from error
    table = ProfileTable(content, str(path))
    kind = table.text("kind")
    test_keys = table.flag("test_keys", default=False)
    if test_keys and not allow_test_keys:
        raise Misconfigured(
            Sentence("{path} has public test keys: it is for tests and the rig alone", path=path)
        )
    if kind == "card":
        return _card(table, test_keys)
    if kind == "psam":
        return _psam(table, test_keys)
    raise table.wrong("kind", "card / psam")


def read_card_profile(path: Path, *, allow_test_keys: bool = False) -> CardProfile:
    """Return a card's profile; see `read_profile`."""
    profile = read_profile(path, allow_test_keys=allow_test_keys)
    if not isinstance(profile, CardProfile):
        raise Misconfigured(Sentence("{path} is the profile of a PSAM, not of a card", path=path))
    return profile


def read_psam_profile(path: Path, *, allow_test_keys: bool = False) -> PsamProfile:
    """Return a PSAM's profile; see `read_profile`."""
    profile = read_profile(path, allow_test_keys=allow_test_keys)
    if not isinstance(profile, PsamProfile):
        raise Misconfigured(Sentence("{path} is the profile of a card, not of a PSAM", path=path))
    return profile


def _card(table: ProfileTable, test_keys: bool) -> CardProfile:
    blank = table.flag("blank", default=False)
    atr = table.hex("atr")
    mf_keys = tuple(_key(each, _mf_usage(each), b"") for each in table.tables("mf_key"))
    if blank:
        table.close()
        return CardProfile(blank, test_keys, atr, mf_keys)
    issuer, asn = table.hex("issuer", 8), table.hex("asn", 10)
    pin = table.hex("pin", 2, 3, 4, 5, 6)
    profile = CardProfile(
        blank,
        test_keys,
        atr,
        mf_keys,
        table.hex("aid", *range(5, 17)),
        issuer,
        asn,
        pin,
        table.number("pin_tries", 15, 3, least=1),
        _public(table, issuer, asn),
        _holder(table),
        *_purses(table),
        tuple(_files(table)),
        tuple(_key(each, _card_usage(each), asn) for each in table.tables("key")),
        _options(table),
    )
    table.close()
    return profile


def _public(table: ProfileTable, issuer: bytes, asn: bytes) -> PublicFile:
    part = _needed(table, "application")
    public = PublicFile(
        issuer,
        part.hex("type", 1)[0],
        part.hex("version", 1)[0],
        asn,
        part.date("starts"),
        part.date("expires"),
        part.hex("fci", 2),
    )
    part.close()
    return public


def _holder(table: ProfileTable) -> HolderFile:
    part = _needed(table, "holder")
    holder = HolderFile(
        part.hex("card_type", 1)[0],
        part.flag("staff", default=False),
        part.text("name"),
        part.text("id_number"),
        part.hex("id_type", 1)[0],
    )
    part.close()
    try:
        holder.encode()
    except ValueError:  # its text would hold the person's
        raise table.wrong("holder", "name ≤ 20 × GB 18030, id_number ≤ 16 × ASCII") from None
    return holder


def _purses(table: ProfileTable) -> tuple[ProfilePurse | None, ProfilePurse | None]:
    part = _needed(table, "purses")
    found: list[ProfilePurse | None] = []
    for name in ("ep", "ed"):
        purse = part.table(name)
        if purse is None:
            found.append(None)
            continue
        purse.number("balance_fen", 0xFFFFFFFF, 0)  # of a card in software; a real one begins at nothing
        most = purse.number("balance_max_fen", 0xFFFFFFFF)
        found.append(ProfilePurse(most, purse.number("overdraft_fen", 0xFFFFFF, 0)))
        purse.close()
    part.close()
    return found[0], found[1]


def _files(table: ProfileTable) -> list[ProfileFile]:
    found = []
    for each in table.tables("record_file"):
        file_id, sfi = int.from_bytes(each.hex("fid", 2)), each.number("sfi", 30)
        records = []
        for record in each.tables("records"):
            length = record.number("length", 253, least=1)
            records.append(record.hex("id", 1) + bytes([length]) + bytes(length))
            record.close()
        each.close()
        found.append(ProfileFile(file_id, sfi, records=tuple(records)))
    for each in table.tables("binary_file"):
        file_id, sfi = int.from_bytes(each.hex("fid", 2)), each.number("sfi", 30)
        content, write = each.hex("content"), each.text("write", "maintenance")
        each.text("read", "free")
        if write not in {"free", "maintenance", "never"}:
            raise each.wrong("write", "free / maintenance / never")
        each.close()
        found.append(ProfileFile(file_id, sfi, content, write))
    return found


def _options(table: ProfileTable) -> int:
    """Return the options byte of CREATE FILE (docs/cos.md)."""
    part = table.table("flags")
    if part is None:
        return 0x03
    options = 0x01 * part.flag("pin_before_ed", default=True)
    options |= 0x02 * part.flag("pin_before_ep_load", default=True)
    for name, other, default, bit in (
        ("log_seq", "before", "after", 0x04),
        ("blocked_select_sw", "6283", "6A81", 0x08),
        ("proof_mac_for_load", "zero", "mac2", 0x10),
        ("algorithm_byte_3des", "01", "00", 0x20),
    ):
        chosen = part.text(name, default)
        if chosen not in {default, other}:
            raise part.wrong(name, f"{default} / {other}")
        options |= bit * (chosen == other)
    part.flag("get_response", default=False)
    part.close()
    return options


def _psam(table: ProfileTable, test_keys: bool) -> PsamProfile:
    blank, atr = table.flag("blank", default=False), table.hex("atr")
    keys = tuple(_key(each, _psam_usage(each), b"") for each in table.tables("key"))
    if blank:
        table.close()
        return PsamProfile(blank, test_keys, atr, keys)
    serial = table.hex("serial", 10)
    serial_file = serial + table.hex("version", 1) + table.hex("type", 1) + table.hex("fci", 2)
    terminal_id = table.hex("terminal_id", 6)
    table.number("terminal_seq", 0xFFFFFFFF, 0)  # of a PSAM in software; a real one begins at nothing
    order = table.text("factor_order", "card_first")
    if order not in {"card_first", "bank_first"}:
        raise table.wrong("factor_order", "card_first / bank_first")
    tries = table.number("mac2_tries", 0xFFFF, 100, least=1)
    applications = []
    for each in table.tables("application"):
        name = each.hex("name", 8)
        applications.append(
            SamApplication(name, tuple(_key(k, _psam_usage(k), b"") for k in each.tables("key")))
        )
        each.close()
    table.close()
    return PsamProfile(
        blank, test_keys, atr, keys, serial, serial_file, terminal_id, order == "bank_first", tries,
        tuple(applications),
    )  # fmt: skip


def _key(table: ProfileTable, usage: Usage, asn: bytes) -> ProfileKey:
    most = SESSION_INDEX_MAX if usage is Usage.PSAM_SESSION else 0xFF
    index = table.number("index", most, 0)
    version = table.number("version", 0xFE)
    word = table.text("algorithm")
    try:
        algorithm = algorithm_named(word)
    except ValueError:
        raise table.wrong("algorithm", "3des / sm4") from None
    levels = table.number("levels", 3, 0)
    value = table.hex("value", 16) if table.has("value") else None
    if table.has("master"):
        value = _from_master(table, algorithm, asn)
    table.close()
    return ProfileKey(usage, index, version, algorithm, levels, value)


def _from_master(table: ProfileTable, algorithm: Algorithm, asn: bytes) -> bytes:
    master = table.hex("master", 16)
    try:
        factors: Sequence[bytes] = [bytes.fromhex(text) for text in table.texts("factors")]
        return derive(algorithm, master, *factors, *([card_factor(asn)] if asn else []))
    except ValueError:
        raise table.wrong("factors", "[8 × 00–FF, …]") from None


def _card_usage(table: ProfileTable) -> Usage:
    text = table.text("usage")
    known = {usage.value: usage for usage in Usage if not usage.name.startswith(("PSAM", "MF", "TRANSPORT"))}
    if text not in known:
        raise table.wrong("usage", " / ".join(known))
    return known[text]


def _mf_usage(table: ProfileTable) -> Usage:
    if table.text("usage") != "maintenance":
        raise table.wrong("usage", "maintenance")
    return Usage.MF_MAINTENANCE


def _psam_usage(table: ProfileTable) -> Usage:
    text = table.text("usage")
    if text == "purchase":
        return Usage.PURCHASE
    if text not in _PSAM_USAGES:
        raise table.wrong("usage", "purchase / session / maintenance")
    return _PSAM_USAGES[text]


def _needed(table: ProfileTable, name: str) -> ProfileTable:
    part = table.table(name)
    if part is None:
        raise table.wrong(name, f"[{name}]")
    return part
