"""A blank card and a blank PSAM become usable by nothing but commands, and their keys are changed later."""

from dataclasses import dataclass

import pytest

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.crypto import Key, key_of
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import KeyEntry, Usage
from hil_rig.virtual.psam import VirtualPsam
from tests.virtual.talk import SELECT, SELECT_ISSUER, SELECT_MF, VERIFY, ask, constant, octets, statuses, tell

TRANSPORT = "404142434445464748494A4B4C4D4E4F"
ROOT = "00112233445566778899AABBCCDDEEFF"


@dataclass
class Office:
    """Whoever holds the key in force: sends protected commands."""

    device: VirtualCard | VirtualPsam
    key: Key

    def send(self, header: str, content: bytes = b"", *, encrypt: bool = False) -> str:
        """Send CLA INS P1 P2 and content, protected; return the answer."""
        challenge = octets(ask(self.device, "00 84 00 00 04")[:-4])
        if encrypt:
            plain = bytes([len(content)]) + content
            if len(plain) % self.key.block:
                plain += b"\x80" + bytes(-(len(plain) + 1) % self.key.block)
            content = self.key.encrypt(plain)
        head = octets(header) + bytes([len(content) + 4])
        return ask(self.device, head + content + self.key.mac(head + content, challenge))

    def do(self, header: str, content: bytes = b"", *, encrypt: bool = False) -> None:
        """Send what must succeed."""
        answer = self.send(header, content, encrypt=encrypt)
        assert answer == "9000", f"{header} -> {answer}"

    def write_key(self, entry: KeyEntry, index: int | None = None) -> str:
        """Send WRITE KEY; return the answer."""
        usage = entry.levels << 5 | entry.type
        plain = bytes((usage, entry.version, entry.algorithm)) + entry.value
        return self.send(f"84 D4 00 {entry.index if index is None else index:02X}", plain, encrypt=True)


def blank_card() -> Office:
    made = VirtualCard(load_card_profile("card-blank"))
    made.power_on()
    return Office(made, key_of(0x00, octets(TRANSPORT)))


def blank_psam() -> Office:
    made = VirtualPsam(load_psam_profile("psam-blank"))
    made.power_on()
    return Office(made, key_of(0x00, octets(TRANSPORT)))


def personalise(office: Office, name: str) -> None:
    """Make the blank card what this profile says."""
    profile = load_card_profile(name)
    tell(office.device, SELECT_MF)
    office.do("84 E0 3F 01", octets("38 03 0000") + profile.aid)
    tell(office.device, SELECT)
    for fid, descriptor in (
        ("00 15", "28 15 00 03 001E"),
        ("00 16", "28 16 00 03 0027"),
        ("00 17", "2C 17 00 03 003E"),
        ("00 18", "2E 18 00 FF 0A 17"),
        ("00 05", "28 05 00 03 0008"),
        ("00 01", "2F 000F4240 000000"),
        ("00 02", "2F 000186A0 000000"),
    ):
        office.do(f"84 E0 {fid}", octets(descriptor))
    office.do("04 D6 95 00", profile.public_file)
    office.do("04 D6 96 00", profile.holder_file)
    for record in profile.record_files[0].records:
        office.do("04 E2 00 B8", record)
    office.do("84 D4 00 00", octets("0B 03 00") + profile.pin, encrypt=True)
    maintenance = [entry for entry in profile.keys if entry.type == Usage.MAINTENANCE]
    for entry in profile.keys:
        if entry not in maintenance:
            assert office.write_key(entry) == "9000"
    assert office.write_key(maintenance[0]) == "9000"
    own = Office(office.device, key_of(maintenance[0].algorithm, maintenance[0].value))
    own.do("84 44 00 00")
    tell(office.device, SELECT_MF)
    assert office.write_key(profile.mf_keys[0]) == "9000"
    office.key = key_of(profile.mf_keys[0].algorithm, profile.mf_keys[0].value)
    tell(office.device, SELECT)


@pytest.mark.parametrize("name", ["card-3des", "card-sm4"])
def test_a_card_made_through_a_reader_is_the_card_made_from_the_profile(name: str) -> None:
    office = blank_card()
    personalise(office, name)
    made = VirtualCard(load_card_profile(name))
    assert dict(office.device.memory.slots) == dict(made.memory.slots)


def test_nothing_is_personalised_without_the_transport_key() -> None:
    office = blank_card()
    office.key = key_of(0x00, octets(ROOT))
    assert office.send("84 E0 3F 01", octets("38 03 0000 A00000000386980701")) == "6988"
    assert office.write_key(KeyEntry(Usage.MAINTENANCE, 0, 1, 0, 0x00, octets(ROOT))) == "6988"
    assert statuses(office.device, ["84 E0 3F 01 0A 38030000A000000001 00", "80 E0 3F 01 02 3803"]) == [
        "6985",
        "6E00",
    ]


def test_money_does_not_move_before_activation() -> None:
    office = blank_card()
    office.do("84 E0 3F 01", octets("38 03 0000 A00000000386980701"))
    tell(office.device, SELECT)
    office.do("84 E0 00 02", octets("2F 000186A0 000000"))
    for usage in (Usage.PURCHASE, Usage.TAC):
        assert office.write_key(KeyEntry(usage, 0, 1, 1, 0x00, octets(ROOT))) == "9000"
    init = "80 50 01 02 0B 01 00000000 112233445566 0F"
    assert statuses(office.device, [init, "80 5A 00 06 02 0001 08"]) == ["6985", "6985"]
    office.do("84 44 00 00")
    assert ask(office.device, init).endswith("9000")
    assert office.send("84 44 00 00") == "6985", "it is active"
    assert office.send("84 E0 00 05", octets("28 05 00 03 0008")) == "6985", "and gets no more files"


def test_what_a_card_is_refused_in_personalisation() -> None:
    office = blank_card()
    office.do("84 E0 3F 01", octets("38 03 0000 A00000000386980701"))
    for header, content, sw in (
        ("84 E0 3F 01", "38 03 0000 A000000001", "6985"),  # that file id exists
        ("84 E0 3F 02", "38 03 0000 A00000000386980701", "6985"),  # that name exists
        ("84 E0 3F 02", "38 03 0000 A0", "6A80"),
        ("84 E0 00 05", "28 05 00 03 0000", "6A80"),
        ("84 E0 00 05", "28 1F 00 03 0001", "6A80"),
        ("84 E0 00 05", "28 05 03 03 0001", "6A80"),  # reading has no maintenance condition
        ("84 E0 00 05", "2E 05 00 03 00 17", "6A80"),
        ("84 E0 00 05", "29 05 00 03 0001", "6A80"),
        ("84 E0 00 02", "2F 000186A0 000000", "6A80"),  # no purse in the MF
        ("84 E4 00 00", "A000000001", "6A82"),
        ("84 44 00 00", "", "6985"),  # the MF
        ("84 44 00 01", "", "6A86"),
        ("84 D4 02 00", "00" * 8, "6A86"),
    ):
        assert office.send(header, octets(content)) == sw, (header, content)
    for plain, sw in (
        ("02 01 02" + ROOT, "6A80"),  # no such algorithm
        ("0C 01 00" + ROOT, "6A80"),  # no such usage
        ("22 01 00" + ROOT, "6A80"),  # a card's key has no levels
        ("02 01 00" + ROOT[2:], "6A80"),
        ("0B 00 00 123456", "6A80"),  # a PIN without tries
        ("0B 03 00 12", "6A80"),
        ("02 01", "6A80"),
    ):
        assert office.send("84 D4 00 05", octets(plain), encrypt=True) == sw, plain


def test_an_application_is_taken_away_before_it_is_active_and_not_after() -> None:
    office = blank_card()
    name = octets("A00000000386980701")
    office.do("84 E0 3F 01", octets("38 03 0000") + name)
    office.do("84 E4 00 00", name)
    assert ask(office.device, SELECT) == "6A82"
    office.do("84 E0 3F 01", octets("38 03 0000") + name)
    tell(office.device, SELECT)
    office.do("84 44 00 00")
    tell(office.device, SELECT_MF)
    assert office.send("84 E4 00 00", name) == "6985"


def test_keys_of_a_card_are_rotated_while_it_lives() -> None:
    """SM4 keys come beside the 3DES ones, are used, and the old ones go."""
    office = blank_card()
    personalise(office, "card-3des")
    new = load_card_profile("card-both")
    old_maintenance = next(k for k in load_card_profile("card-3des").keys if k.type == Usage.MAINTENANCE)
    own = Office(office.device, key_of(old_maintenance.algorithm, old_maintenance.value))
    sm4 = [entry for entry in new.keys if entry.algorithm == 0x04]
    for entry in sm4:
        assert own.write_key(entry) == "9000"
    init = "80 50 01 02 0B {} 00000000 112233445566 0F"
    assert ask(office.device, init.format("01"))[18:22] == "0100", "version and algorithm of the old key"
    assert ask(office.device, init.format("02"))[18:22] == "0204", "and of the new"
    for entry in load_card_profile("card-3des").keys:
        if entry.type != Usage.MAINTENANCE:
            own.do(f"84 D4 01 {entry.index:02X}", bytes((entry.type, entry.version, entry.algorithm)))
    assert ask(office.device, init.format("01")) == "9403"
    gone = bytes((Usage.PURCHASE, 1, 0))
    assert own.send("84 D4 01 01", gone) == "9403", "it is gone already"
    own.do("84 D4 01 01", bytes((Usage.MAINTENANCE, 1, 0)))
    assert own.send("84 D4 01 02", bytes((Usage.MAINTENANCE, 2, 4))) == "6988", (
        "the old one opens nothing any more"
    )
    new_maintenance = next(entry for entry in sm4 if entry.type == Usage.MAINTENANCE)
    own.key = key_of(0x04, new_maintenance.value)
    assert own.send("84 D4 01 02", bytes((Usage.MAINTENANCE, 2, 4))) == "6985", "the last one stays"
    listed = ask(office.device, "80 CA 00 00 00")
    rows = {listed[at : at + 8] for at in range(0, len(listed) - 4, 8)}
    assert rows == {f"{usage:02X}020204" for usage in range(1, 11)} | {"0B000300"}
    assert ask(office.device, VERIFY) == "9000"


def test_a_maintenance_key_replaces_itself_under_its_old_value() -> None:
    office = blank_card()
    replaced = KeyEntry(Usage.MAINTENANCE, 0, 1, 7, 0x04, octets(ROOT))
    assert office.write_key(replaced) == "9000"
    assert office.write_key(replaced) == "6988"
    office.key = key_of(0x04, octets(ROOT))
    assert office.write_key(replaced) == "9000"
    assert ask(office.device, "80 CA 00 00 00") == "01010704" + "9000"


def test_the_published_key_write_is_understood() -> None:
    """Under its own value as maintenance key and challenge 5D72B3FD: usage 22, version 00, 3DES."""
    made = VirtualPsam(load_psam_profile("psam-blank"), None, constant("5D72B3FD"))
    made.power_on()
    office = Office(made, key_of(0x00, octets(TRANSPORT)))
    assert office.write_key(KeyEntry(Usage.MAINTENANCE, 0, 0, 0, 0x00, octets(ROOT))) == "9000"
    message = "84 D4 00 00 1C DCC0BB5793ABFCA2CA8C1624822F6E01A86A0B5CBED191DD 8A9D4ADB"
    assert statuses(made, ["00 84 00 00 04", message[:-1] + "A", "00 84 00 00 04", message]) == [
        "9000", "6988", "9000", "9000",
    ]  # fmt: skip
    assert ask(made, "80 CA 00 00 00") == "01000000" + "22000000" + "9000"


def test_a_blank_psam_becomes_one_that_sells() -> None:
    office = blank_psam()
    profile = load_psam_profile("psam")
    office.do("04 D6 95 00", profile.serial_file)
    office.do("04 D6 96 00", profile.terminal_id)
    for number, application in enumerate(profile.applications, 1):
        tell(office.device, SELECT_MF)
        office.do(f"84 E0 3F {number:02X}", octets("38 00 0064") + application.name)
        tell(office.device, f"00 A4 04 00 08 {application.name.hex()}")
        for entry in application.keys:
            assert office.write_key(entry, index=0) == "9000"
        assert ask(office.device, "80 1A 09 01") == "6985", "not active yet"
        office.do("84 44 00 00")
    tell(office.device, SELECT_MF)
    assert office.write_key(profile.keys[0], index=0) == "9000"
    made = VirtualPsam(profile)
    made.power_on()
    assert dict(office.device.memory.slots) == dict(made.memory.slots)
    tell(office.device, SELECT_ISSUER)
    init = "80 70 00 00 1C A1B2C3D4 0005 00000064 06 20240411 212121 01 00 0001000000000123 08"
    tell(made, SELECT_ISSUER)
    assert ask(office.device, init) == ask(made, init)


def test_versions_of_a_purchase_key_live_side_by_side_in_a_psam() -> None:
    office = blank_psam()
    office.do("84 E0 3F 01", octets("38 00 0064 4355434100000001"))
    tell(office.device, SELECT_ISSUER)
    for version, algorithm in ((1, 0x00), (2, 0x00), (2, 0x04)):
        assert office.write_key(KeyEntry(Usage.PURCHASE, 1, 0, version, algorithm, octets(ROOT))) == "9000"
    office.do("84 44 00 00")
    init = "80 70 00 00 1C A1B2C3D4 0005 00000064 06 20240411 212121 {} 0001000000000123 08"
    assert statuses(office.device, [init.format(key) for key in ("01 00", "02 00", "02 04", "01 04")]) == [
        "9000", "9000", "9000", "9403",
    ]  # fmt: skip
    office.do("84 D4 01 00", octets("22 01 00"))
    assert statuses(office.device, [init.format(key) for key in ("01 00", "02 00", "02 04")]) == [
        "9403",
        "9000",
        "9000",
    ]
    tell(office.device, SELECT_MF)
    office.do("84 E4 00 00", octets("4355434100000001"))
    assert ask(office.device, SELECT_ISSUER) == "6A82", "an issuer that left"
