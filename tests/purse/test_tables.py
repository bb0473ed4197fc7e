"""Every command and every MAC input of our side, as literal bytes: the table that the card must agree with.

Nothing but our side of the reader is imported here, and the bytes are written out: the card in software has
a test like this one of its own.
"""

import ast
from pathlib import Path

import pytest

from campus_node.purse import commands, mac, psam, secure_messaging
from campus_node.purse.apdu import Command
from campus_node.purse.commands import Purse, TransactionType

TERMINAL = bytes.fromhex("112233445566")
MADE_AT = bytes.fromhex("20240411212121")
FOUR = bytes.fromhex("A1B2C3D4")

MONEY = {
    "get balance ED": (commands.get_balance(Purse.ED), "80 5C 00 01 04"),
    "get balance EP": (commands.get_balance(Purse.EP), "80 5C 00 02 04"),
    "init for load ED": (
        commands.init_for_load(Purse.ED, 1, 1000, TERMINAL),
        "80 50 00 01 0B 01 000003E8 112233445566 10",
    ),
    "init for load EP": (
        commands.init_for_load(Purse.EP, 2, 1000, TERMINAL),
        "80 50 00 02 0B 02 000003E8 112233445566 10",
    ),
    "credit for load": (
        commands.credit_for_load(MADE_AT, FOUR),
        "80 52 00 00 0B 20240411 212121 A1B2C3D4 04",
    ),
    "init for purchase ED": (
        commands.init_for_purchase(Purse.ED, 1, 100, TERMINAL),
        "80 50 01 01 0B 01 00000064 112233445566 0F",
    ),
    "init for purchase EP": (
        commands.init_for_purchase(Purse.EP, 1, 0xFFFFFFFF, TERMINAL),
        "80 50 01 02 0B 01 FFFFFFFF 112233445566 0F",
    ),
    "debit for purchase": (
        commands.debit(7, MADE_AT, FOUR),
        "80 54 01 00 0F 00000007 20240411 212121 A1B2C3D4 08",
    ),
    "init for cash withdraw": (
        commands.init_for_cash(1, 100, TERMINAL),
        "80 50 02 01 0B 01 00000064 112233445566 0F",
    ),
    "init for CAPP purchase EP": (
        commands.init_for_capp(Purse.EP, 1, 100, TERMINAL),
        "80 50 03 02 0B 01 00000064 112233445566 0F",
    ),
    "init for CAPP purchase ED": (
        commands.init_for_capp(Purse.ED, 1, 100, TERMINAL),
        "80 50 03 01 0B 01 00000064 112233445566 0F",
    ),
    "update CAPP cache, bus, by id": (
        commands.update_capp_cache(0x17, bytes.fromhex("03020099"), record_id=0x03),
        "80 DC 03 B8 04 03020099",
    ),
    "update CAPP cache, toll, by id": (
        commands.update_capp_cache(0x19, bytes.fromhex("AA0200FF"), record_id=0xAA),
        "80 DC AA C8 04 AA0200FF",
    ),
    "update CAPP cache by number": (
        commands.update_capp_cache(0x17, bytes.fromhex("11020001"), number=1),
        "80 DC 01 BC 04 11020001",
    ),
    "init for unload": (
        commands.init_for_unload(1, 100, TERMINAL),
        "80 50 05 01 0B 01 00000064 112233445566 10",
    ),
    "debit for unload": (
        commands.debit_for_unload(MADE_AT, FOUR),
        "80 54 03 00 0B 20240411 212121 A1B2C3D4 04",
    ),
    "init for update": (commands.init_for_overdraft(1, TERMINAL), "80 50 04 01 07 01 112233445566 13"),
    "update overdraw limit": (
        commands.update_overdraft_limit(0x012345, MADE_AT, FOUR),
        "80 58 00 00 0E 012345 20240411 212121 A1B2C3D4 04",
    ),
    "get transaction prove, purchase": (
        commands.transaction_prove(TransactionType.EP_PURCHASE, 6),
        "80 5A 00 06 02 0006 08",
    ),
    "get transaction prove, CAPP": (
        commands.transaction_prove(TransactionType.CAPP, 0xFFFF),
        "80 5A 00 09 02 FFFF 08",
    ),
}

GENERIC = {
    "select by file id": (commands.select_file(0x3F00), "00 A4 00 00 02 3F00"),
    "select by name": (
        commands.select_name(bytes.fromhex("A00000000386980701")),
        "00 A4 04 00 09 A00000000386980701",
    ),
    "get challenge 4": (commands.get_challenge(), "00 84 00 00 04"),
    "get challenge 8": (commands.get_challenge(8), "00 84 00 00 08"),
    "get challenge 16": (commands.get_challenge(16), "00 84 00 00 10"),
    "verify": (commands.verify_pin(0, bytes.fromhex("123456")), "00 20 00 00 03 123456"),
    "external authenticate": (
        commands.external_authenticate(1, bytes.fromhex("74B0047DD681D96C")),
        "00 82 00 01 08 74B0047DD681D96C",
    ),
    "internal authenticate": (
        commands.internal_authenticate(2, 1, bytes(8)),
        "00 88 02 01 08 0000000000000000",
    ),
    "read binary by short id": (commands.read_binary(0x15, 0, 30), "00 B0 95 00 1E"),
    "read binary of the selected file": (commands.read_binary(None, 0x0102, 256), "00 B0 01 02 00"),
    "update binary": (commands.update_binary(0x16, 2, b"\xaa"), "00 D6 96 02 01 AA"),
    "read record": (commands.read_record(0x18, 1, 23), "00 B2 01 C4 17"),
    "update record": (commands.update_record(0x17, 2, b"\xaa\xbb"), "00 DC 02 BC 02 AABB"),
    "append record": (commands.append_record(0x17, b"\xaa\xbb"), "00 E2 00 B8 02 AABB"),
    "change PIN": (
        commands.change_pin(0, bytes.fromhex("123456"), bytes.fromhex("654321")),
        "80 5E 01 00 07 123456 FF 654321",
    ),
    "reload PIN": (
        commands.reload_pin(0, bytes.fromhex("123456"), FOUR),
        "80 5E 00 00 07 123456 A1B2C3D4",
    ),
    "PIN unblock, before protection": (
        secure_messaging.pin_unblock(bytes.fromhex("123456")),
        "80 24 00 01 03 123456",
    ),
    "PIN unblock, 3DES": (
        secure_messaging.with_mac(secure_messaging.pin_unblock(b"\x12\x34")._replace(data=bytes(8)), FOUR),
        "84 24 00 01 0C 0000000000000000 A1B2C3D4",
    ),
    "PIN unblock, SM4": (
        secure_messaging.with_mac(secure_messaging.pin_unblock(b"\x12\x34")._replace(data=bytes(16)), FOUR),
        "84 24 00 01 14 00000000000000000000000000000000 A1B2C3D4",
    ),
    "card block": (
        secure_messaging.with_mac(secure_messaging.card_block(), FOUR),
        "84 16 00 00 04 A1B2C3D4",
    ),
    "application block, temporary": (
        secure_messaging.with_mac(secure_messaging.application_block(permanent=False), FOUR),
        "84 1E 00 00 04 A1B2C3D4",
    ),
    "application block, permanent": (
        secure_messaging.with_mac(secure_messaging.application_block(permanent=True), FOUR),
        "84 1E 00 01 04 A1B2C3D4",
    ),
    "application unblock": (
        secure_messaging.with_mac(secure_messaging.application_unblock(), FOUR),
        "84 18 00 00 04 A1B2C3D4",
    ),
    "update binary with a MAC": (
        secure_messaging.with_mac(commands.update_binary(0x16, 2, b"\xaa"), FOUR),
        "04 D6 96 02 05 AA A1B2C3D4",
    ),
    "update record with a MAC": (
        secure_messaging.with_mac(commands.update_record(0x17, 2, b"\xaa"), FOUR),
        "04 DC 02 BC 05 AA A1B2C3D4",
    ),
    "append record with a MAC": (
        secure_messaging.with_mac(commands.append_record(0x17, b"\xaa"), FOUR),
        "04 E2 00 B8 05 AA A1B2C3D4",
    ),
}

CARD, REGION, CITY = (
    bytes.fromhex(factor) for factor in ("1234567890123456", "B9E3B6ABB9E3B6AB", "0102030405060708")
)
PSAM_ORDER = "A1B2C3D4 0005 00000064 06 20240411 212121 01 00"


def _sam_init(*factors: bytes) -> Command:
    return psam.sam_init_for_purchase(FOUR, 5, 100, TransactionType.EP_PURCHASE, MADE_AT, 1, 0, factors)


PSAM = {
    "file 15": (psam.read_serial(), "00 B0 95 00 0E"),
    "file 16": (psam.read_terminal_id(), "00 B0 96 00 06"),
    "init SAM, one factor": (_sam_init(CARD), f"80 70 00 00 1C {PSAM_ORDER} 1234567890123456 08"),
    "init SAM, two factors": (
        _sam_init(CARD, REGION),
        f"80 70 00 00 24 {PSAM_ORDER} 1234567890123456 B9E3B6ABB9E3B6AB 08",
    ),
    "init SAM, three factors": (
        _sam_init(CARD, REGION, CITY),
        f"80 70 00 00 2C {PSAM_ORDER} 1234567890123456 B9E3B6ABB9E3B6AB 0102030405060708 08",
    ),
    "credit SAM": (psam.sam_credit_for_purchase(FOUR), "80 72 00 00 04 A1B2C3D4"),
    "delivery key, no level": (psam.sam_deliver_key(0x08, 1, ()), "80 1A 08 01"),
    "delivery key, two levels": (
        psam.sam_deliver_key(0x48, 1, (CARD, REGION)),
        "80 1A 48 01 10 1234567890123456 B9E3B6ABB9E3B6AB",
    ),
    "cipher, encrypt": (
        psam.sam_cipher(psam.CipherMode.ENCRYPT, bytes(8)),
        "80 FA 00 00 08 0000000000000000",
    ),
    "cipher, MAC of one message": (
        psam.sam_cipher(psam.CipherMode.MAC, bytes(32)),
        "80 FA 05 00 20" + "00" * 32,
    ),
    "cipher, first of a MAC": (
        psam.sam_cipher(psam.CipherMode.MAC_FIRST, bytes(8)),
        "80 FA 07 00 08" + "00" * 8,
    ),
    "cipher, next of a MAC": (
        psam.sam_cipher(psam.CipherMode.MAC_NEXT, bytes(8)),
        "80 FA 03 00 08" + "00" * 8,
    ),
    "cipher, last of a MAC": (
        psam.sam_cipher(psam.CipherMode.MAC_LAST, bytes(8)),
        "80 FA 01 00 08" + "00" * 8,
    ),
    "cipher, more to encrypt": (
        psam.sam_cipher(psam.CipherMode.ENCRYPT_MORE, bytes(8)),
        "80 FA 02 00 08" + "00" * 8,
    ),
    "cipher, decrypt": (psam.sam_cipher(psam.CipherMode.DECRYPT, bytes(8)), "80 FA 80 00 08" + "00" * 8),
}

MESSAGES = {
    "purchase seed": (mac.purchase_seed(FOUR, 5, 0x00010007), "A1B2C3D4 0005 0007"),
    "online seed": (mac.online_seed(FOUR, 3), "A1B2C3D4 0003 8000"),
    "load MAC1": (mac.load_mac1(16, 1000, 2, TERMINAL), "00000010 000003E8 02 112233445566"),
    "load MAC2": (mac.load_mac2(1000, 1, TERMINAL, MADE_AT), "000003E8 01 112233445566 20240411 212121"),
    "load TAC": (
        mac.load_tac(1016, 3, 1000, 2, TERMINAL, MADE_AT),
        "000003F8 0003 000003E8 02 112233445566 20240411 212121",
    ),
    "purchase MAC1": (
        mac.purchase_mac1(100, 6, TERMINAL, MADE_AT),
        "00000064 06 112233445566 20240411 212121",
    ),
    "cash MAC1": (mac.purchase_mac1(100, 4, TERMINAL, MADE_AT), "00000064 04 112233445566 20240411 212121"),
    "CAPP MAC1": (mac.purchase_mac1(100, 9, TERMINAL, MADE_AT), "00000064 09 112233445566 20240411 212121"),
    "purchase MAC2": (mac.purchase_mac2(100), "00000064"),
    "purchase TAC": (
        mac.purchase_tac(100, 5, TERMINAL, 0x00010007, MADE_AT),
        "00000064 05 112233445566 00010007 20240411 212121",
    ),
    "unload MAC1": (mac.unload_mac1(1000, 100, TERMINAL), "000003E8 00000064 03 112233445566"),
    "unload MAC2": (mac.unload_mac2(100, TERMINAL, MADE_AT), "00000064 03 112233445566 20240411 212121"),
    "unload MAC3": (
        mac.unload_mac3(900, 3, 100, TERMINAL, MADE_AT),
        "00000384 0003 00000064 03 112233445566 20240411 212121",
    ),
    "overdraft MAC1": (mac.overdraft_mac1(1000, 0x64, TERMINAL), "000003E8 000064 07 112233445566"),
    "overdraft MAC2": (
        mac.overdraft_mac2(0x012345, TERMINAL, MADE_AT),
        "012345 07 112233445566 20240411 212121",
    ),
    "overdraft TAC": (
        mac.overdraft_tac(1000 + 200 - 100, 3, 200, TERMINAL, MADE_AT),
        "0000044C 0003 0000C8 07 112233445566 20240411 212121",
    ),
}


@pytest.mark.parametrize(("command", "expected"), (rows := MONEY | GENERIC | PSAM).values(), ids=rows)
def test_a_command_is_these_bytes(command: Command, expected: str) -> None:
    assert command.encode() == bytes.fromhex(expected)


@pytest.mark.parametrize(("message", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_a_mac_covers_these_bytes(message: bytes, expected: str) -> None:
    assert message == bytes.fromhex(expected)


def test_what_a_mac_of_secure_messaging_covers_counts_the_mac_in_lc() -> None:
    command = Command(0x80, 0xD4, 0x00, 0x00, bytes(24))
    assert secure_messaging.signed_part(command) == bytes.fromhex("84 D4 00 00 1C") + bytes(24)
    blocked = secure_messaging.signed_part(secure_messaging.card_block())
    assert blocked == bytes.fromhex("84 16 00 00 04")


def test_types_and_purses_have_the_standards_numbers() -> None:
    assert {each.name: each.value for each in TransactionType} == {
        "ED_LOAD": 1,
        "EP_LOAD": 2,
        "UNLOAD": 3,
        "CASH": 4,
        "ED_PURCHASE": 5,
        "EP_PURCHASE": 6,
        "OVERDRAFT": 7,
        "CAPP": 9,
    }
    assert {each.name: each.value for each in Purse} == {"ED": 1, "EP": 2}
    assert [TransactionType.load_of(purse) for purse in Purse] == [1, 2]
    assert [TransactionType.purchase_of(purse) for purse in Purse] == [5, 6]


def test_this_table_knows_our_side_only() -> None:
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    ours = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] != "pathlib"
    }
    assert ours
    assert all(name.startswith("campus_node.purse") for name in ours)
