"""Reads profiles: TOML to `CardProfile` and `PsamProfile`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from federation.errors import Misconfigured
from hil_rig.virtual.crypto import SM4_ALGORITHM, TDES, key_of
from hil_rig.virtual.profile_entries import (
    BinaryFile,
    CardProfile,
    Flags,
    KeyEntry,
    PsamProfile,
    PurseEntry,
    RecordFile,
    SamApplication,
    Usage,
)
from hil_rig.virtual.profile_fields import Fields

__all__ = ["CardProfile", "PsamProfile", "load_card_profile", "load_profile", "load_psam_profile"]

SHIPPED: Final = Path(__file__).parents[1] / "profiles"

ALGORITHMS: Final = {"3des": TDES, "sm4": SM4_ALGORITHM}
CONDITIONS: Final = {
    "free": 0x00,
    "pin": 0x01,
    "authenticated": 0x02,
    "maintenance": 0x03,
    "maintenance_encrypted": 0x04,
    "never": 0xFF,
}
READ_CONDITIONS: Final = ("free", "pin", "authenticated", "never")
CARD_USAGES: Final = {usage.name.lower(): usage for usage in Usage if usage is not Usage.PIN}
SAM_USAGES: Final = ("purchase", "session", "maintenance")

_MONEY_MAX_FEN: Final = 0xFFFF_FFFF
_OVERDRAFT_MAX_FEN: Final = 0xFF_FFFF


def load_profile(source: str | Path) -> CardProfile | PsamProfile:
    """Return the profile of a file, or a shipped one by its name, such as "card-3des".

    Raises:
        Misconfigured: there is no such profile, or it has unknown, missing or wrong entries.
    """
    path = Path(source)
    shipped = SHIPPED / f"{source}.toml"
    if not path.suffix and not path.is_file() and shipped.is_file():
        path = shipped
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(sorted(profile.stem for profile in SHIPPED.glob("*.toml")))
        raise Misconfigured(f"{source}: no such profile; shipped ones are {names}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path.name}: no TOML: {error}") from error
    return read_profile(table, path.name)


def load_card_profile(source: str | Path) -> CardProfile:
    """Return a card's profile. Raise Misconfigured, also if it is a PSAM's."""
    profile = load_profile(source)
    if not isinstance(profile, CardProfile):
        raise Misconfigured(f"{source}: this is a PSAM's profile, a card's is needed")
    return profile


def load_psam_profile(source: str | Path) -> PsamProfile:
    """Return a PSAM's profile. Raise Misconfigured, also if it is a card's."""
    profile = load_profile(source)
    if not isinstance(profile, PsamProfile):
        raise Misconfigured(f"{source}: this is a card's profile, a PSAM's is needed")
    return profile


def read_profile(table: Mapping[str, object], name: str) -> CardProfile | PsamProfile:
    """Return the profile of a table that was read already. Raise Misconfigured."""
    fields = Fields(table, name)
    kind = fields.choice("kind", ("card", "psam"))
    blank = fields.truth("blank", default=False)
    profile: CardProfile | PsamProfile
    if kind == "card":
        profile = _blank_card(fields) if blank else _card(fields)
    else:
        profile = _blank_psam(fields) if blank else _psam(fields)
    fields.done()
    return profile


def _blank_card(fields: Fields) -> CardProfile:
    return CardProfile(
        name=fields.where,
        test_keys=fields.truth("test_keys", default=False),
        blank=True,
        atr=_atr(fields),
        mf_keys=_card_keys(fields, "mf_key", b""),
        flags=_flags(fields),
    )


def _card(fields: Fields) -> CardProfile:
    issuer, asn = fields.octets("issuer", [8]), fields.digits("asn", 10)
    pin = fields.octets("pin", range(2, 7))
    if b"\xff" in pin:
        raise fields.refuse("pin", "without FF, which stands between two PINs")
    purses = fields.table("purses")
    ep, ed = _purse(purses, "ep", overdraft=False), _purse(purses, "ed", overdraft=True)
    purses.done()
    return CardProfile(
        name=fields.where,
        test_keys=fields.truth("test_keys", default=False),
        blank=False,
        atr=_atr(fields),
        mf_keys=_card_keys(fields, "mf_key", asn),
        aid=fields.octets("aid", range(5, 17)),
        issuer=issuer,
        asn=asn,
        pin=pin,
        pin_tries=fields.number("pin_tries", 1, 15, 3),
        public_file=_public_file(fields.table("application"), issuer, asn),
        holder_file=_holder_file(fields.table("holder")),
        ep=ep,
        ed=ed,
        record_files=tuple(map(_record_file, fields.tables("record_file"))),
        binary_files=tuple(map(_binary_file, fields.tables("binary_file"))),
        keys=_card_keys(fields, "key", asn),
        flags=_flags(fields),
    )


def _public_file(fields: Fields, issuer: bytes, asn: bytes) -> bytes:
    kind, version = fields.octets("type", [1]), fields.octets("version", [1])
    starts, expires = fields.digits("starts", 4), fields.digits("expires", 4)
    content = issuer + kind + version + asn + starts + expires + fields.octets("fci", [2])
    fields.done()
    assert len(content) == 30
    return content


def _holder_file(fields: Fields) -> bytes:
    try:
        name = fields.text("name").encode("gb18030").ljust(20, b"\0")
        id_number = fields.text("id_number").encode("ascii").ljust(16)
    except UnicodeEncodeError as error:
        raise fields.refuse("id_number", "ASCII, and name GB 18030") from error
    if len(name) > 20:
        raise fields.refuse("name", "at most 20 bytes in GB 18030")
    if len(id_number) > 16:
        raise fields.refuse("id_number", "at most 16 characters")
    staff = bytes([fields.truth("staff", default=False)])
    content = fields.octets("card_type", [1]) + staff + name + id_number + fields.octets("id_type", [1])
    fields.done()
    assert len(content) == 39
    return content


def _purse(purses: Fields, name: str, *, overdraft: bool) -> PurseEntry | None:
    if not purses.has(name):
        return None
    fields = purses.table(name)
    overdraft_fen = fields.number("overdraft_fen", 0, _OVERDRAFT_MAX_FEN, 0) if overdraft else 0
    balance_max_fen = fields.number("balance_max_fen", 0, _MONEY_MAX_FEN)
    entry = PurseEntry(fields.number("balance_fen", 0, balance_max_fen, 0), balance_max_fen, overdraft_fen)
    if entry.balance_fen + overdraft_fen > balance_max_fen:
        raise fields.refuse("balance_max_fen", "no less than balance_fen + overdraft_fen")
    fields.done()
    return entry


def _record_file(fields: Fields) -> RecordFile:
    records = []
    for record in fields.tables("records"):
        record_id, length = record.octets("id", [1]), record.number("length", 1, 253)
        records.append(record_id + bytes([length]) + bytes(length))
        record.done()
    file = RecordFile(_fid(fields), fields.number("sfi", 1, 30), tuple(records))
    fields.done()
    return file


def _binary_file(fields: Fields) -> BinaryFile:
    file = BinaryFile(
        _fid(fields),
        fields.number("sfi", 0, 30, 0),
        fields.octets("content", range(4096)),
        CONDITIONS[fields.choice("read", READ_CONDITIONS, "free")],
        CONDITIONS[fields.choice("write", CONDITIONS, "maintenance")],
    )
    fields.done()
    return file


def _fid(fields: Fields) -> int:
    fid = int.from_bytes(fields.octets("fid", [2]))
    if fid in {0x0001, 0x0002, 0x0015, 0x0016, 0x0018, 0x3F00}:
        raise fields.refuse("fid", "other than 0001, 0002, 0015, 0016, 0018 and 3F00")
    return fid


def _card_keys(fields: Fields, name: str, asn: bytes) -> tuple[KeyEntry, ...]:
    entries = []
    for key in fields.tables(name):
        usage = CARD_USAGES[key.choice("usage", CARD_USAGES)]
        index, version = key.number("index", 0, 255), key.number("version", 0, 255)
        algorithm = ALGORITHMS[key.choice("algorithm", ALGORITHMS)]
        entries.append(KeyEntry(usage, 0, index, version, algorithm, _key_value(key, algorithm, asn)))
        key.done()
    if len({(entry.type, entry.index) for entry in entries}) < len(entries):
        raise fields.refuse(name, "a list in which no two keys have the same usage and index")
    return tuple(entries)


def _key_value(fields: Fields, algorithm: int, asn: bytes) -> bytes:
    if not fields.has("master"):
        return fields.octets("value", [16])
    if not asn:
        raise fields.refuse("master", "absent: a blank card has no number to diversify it by")
    key = key_of(algorithm, fields.octets("master", [16]))
    for factor in fields.strings("factors"):
        if len(factor) != 16:
            raise fields.refuse("factors", "a list of 8 bytes each")
        key = key.diversified(bytes.fromhex(factor))
    return key.diversified(asn[2:]).value


def _flags(fields: Fields) -> Flags:
    flags = fields.table("flags", optional=True)
    found = Flags(
        pin_before_ed=flags.truth("pin_before_ed", default=True),
        pin_before_ep_load=flags.truth("pin_before_ep_load", default=True),
        log_seq_after=flags.choice("log_seq", ("after", "before"), "after") == "after",
        blocked_select_sw=int(flags.choice("blocked_select_sw", ("6A81", "6283"), "6A81"), 16),
        proof_mac_for_load=flags.choice("proof_mac_for_load", ("mac2", "zero"), "mac2") == "mac2",
        algorithm_byte_3des=int(flags.choice("algorithm_byte_3des", ("00", "01"), "00"), 16),
        get_response=flags.truth("get_response", default=False),
    )
    flags.done()
    return found


def _atr(fields: Fields) -> bytes:
    return fields.octets("atr", range(2, 34))


def _blank_psam(fields: Fields) -> PsamProfile:
    return PsamProfile(
        name=fields.where,
        test_keys=fields.truth("test_keys", default=False),
        blank=True,
        atr=_atr(fields),
        keys=_sam_keys(fields),
    )


def _psam(fields: Fields) -> PsamProfile:
    serial, version = fields.digits("serial", 10), fields.octets("version", [1])
    kind, fci = fields.octets("type", [1]), fields.octets("fci", [2])
    applications = []
    for application in fields.tables("application"):
        name = application.octets("name", [8])
        applications.append(SamApplication(name, _sam_keys(application)))
        application.done()
    if len({application.name for application in applications}) < len(applications):
        raise fields.refuse("application", "a list in which no name comes twice")
    return PsamProfile(
        name=fields.where,
        test_keys=fields.truth("test_keys", default=False),
        blank=False,
        atr=_atr(fields),
        keys=_sam_keys(fields),
        serial_file=serial + version + kind + fci,
        terminal_id=fields.octets("terminal_id", [6]),
        terminal_seq=fields.number("terminal_seq", 0, 0xFFFF_FFFF, 0),
        card_factor_first=fields.choice("factor_order", ("card_first", "bank_first"), "card_first")
        == "card_first",
        mac2_tries=fields.number("mac2_tries", 1, 0xFFFF, 100),
        applications=tuple(applications),
    )


def _sam_keys(fields: Fields) -> tuple[KeyEntry, ...]:
    entries = []
    for key in fields.tables("key"):
        usage = key.choice("usage", SAM_USAGES)
        levels = key.number("levels", 0, 3, 0)
        number = {"purchase": Usage.PURCHASE.value, "maintenance": Usage.MAINTENANCE.value}.get(usage)
        index = key.number("index", 3, 31) if number is None else key.number("index", 0, 31, number)
        version, algorithm = key.number("version", 0, 255), ALGORITHMS[key.choice("algorithm", ALGORITHMS)]
        value = key.octets("value", [16])
        entries.append(KeyEntry(index if number is None else number, levels, 0, version, algorithm, value))
        key.done()
    return tuple(entries)
