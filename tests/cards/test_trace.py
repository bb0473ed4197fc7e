"""A trace tells people what went over the reader, reads back as what it was, and holds no secret."""

import re
import stat
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_node.cli.language import Language
from campus_node.keys.sealed_file import SealedFile
from campus_node.purse.apdu import Command, exchange
from campus_node.purse.commands import get_challenge, read_binary, select_name, verify_pin
from campus_node.purse.errors import CardLeft
from campus_node.purse.psam import CipherMode, Psam
from campus_node.purse.trace import Trace
from campus_node.purse.trace_file import read_trace
from federation.clock import VirtualClock
from federation.errors import Misconfigured
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.psam import VirtualPsam
from tests.cards.conftest import PASSPHRASE, PROFILES, TRANSPORT_KEY, Desk
from tests.soak import size

AID = bytes.fromhex("A00000000386980701")
PIN = "314159265358"  # long enough that it is nowhere by chance
OTHER_PIN = "271828182845"


def hexadecimal(trace: Path) -> str:
    """Return all digits of a trace without spaces: nothing can hide between two fields."""
    return re.sub(r"[ \n]", "", trace.read_text(encoding="utf-8")).upper()


def keys_in(profile: str) -> list[bytes]:
    """Return every key of a shipped profile."""
    found = re.findall(r'^value = "([0-9A-F]{32})"', (PROFILES / f"{profile}.toml").read_text(), re.MULTILINE)
    return [bytes.fromhex(value) for value in found]


def assert_no_secret(trace: Path, secrets: list[bytes]) -> None:
    """Each secret, and each half of a key, is nowhere in the file."""
    text = hexadecimal(trace)
    assert secrets
    for secret in secrets:
        for part in (secret[:8], secret[8:]) if len(secret) == 16 else (secret,):
            assert part.hex().upper() not in text, "a secret stands in the trace"


def test_a_purchase_is_told_command_by_command_in_both_languages(desk: Desk) -> None:
    desk.load(10_000)
    for language, name, balance, done in (
        ("en", "INITIALIZE FOR PURCHASE", "balance 100.00, offline counter 0", "done"),
        ("zh", "消费初始化", "余额 87.50, 脱机计数器 1", "成功"),
    ):
        trace = desk.directory / f"trace.{language}"
        purchase = ("card", "purchase", "--reader", desk.card(), "--sam", "soft:psam", "--amount-fen", 1250)
        assert desk.campus(*purchase, "--trace", trace, "--lang", language).code == 0
        lines = trace.read_text(encoding="utf-8").splitlines()
        place = next(i for i, line in enumerate(lines) if line.endswith(f" card {name}"))
        assert re.fullmatch(r"  > 805001020B 01 000004E2 112233445566 0F", lines[place + 1])
        assert "12.50" in lines[place + 2]
        assert re.fullmatch(r"  < [0-9A-F]{8} [0-9A-F]{4} 000000 02 04 [0-9A-F]{8} 9000", lines[place + 3])
        assert balance in lines[place + 4]
        assert re.fullmatch(rf"      {done} \(\d+\.\d{{3}} ms\)", lines[place + 5])
        assert [line.split(" ", 2)[1] for line in lines if re.match(r"\d{4}-", line)].count("sam") >= 3


def test_a_trace_is_for_its_owner_only_and_reads_back_as_what_crossed(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text("an earlier one, open to all\n")
    crossed = []
    with Trace(path, VirtualClock()) as trace:
        channel = trace.channel(VirtualReader(VirtualCard(load_card_profile("card-3des"))).channel(), "card")
        crossed.append(channel.power_on())
        for command in (select_name(AID), get_challenge(8), read_binary(5, 0, 8)):
            crossed.append(channel.transmit(command.encode()))  # noqa: PERF401  # in the order of the trace
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read_trace(path)
    assert [each.device for each in found] == ["card"] * 4
    for each, answer in zip(found, crossed, strict=True):
        assert each.answer is not None
        assert each.answer.differs_from(answer) is None
        assert len(each.answer.hidden) in {0, 4}, "of the card number only"


@pytest.mark.parametrize("full", [False, True])
def test_no_pin_and_no_key_is_in_any_trace_of_the_desk(desk: Desk, full: bool) -> None:
    reader, first, second = ("--reader", desk.card()), desk.pin_file(PIN), desk.pin_file(OTHER_PIN)
    profile = tomllib.loads((PROFILES / "card-sm4.toml").read_text(encoding="utf-8"))
    lines: list[tuple[object, ...]] = [
        ("card", "pin", "change", *reader, "--new-pin-file", first),
        ("card", "pin", "verify", *reader, "--pin-file", first),
        ("card", "pin", "unblock", *reader, "--new-pin-file", second),
        ("card", "pin", "reload", *reader, "--new-pin-file", first),
        ("card", "load", *reader, "--amount-fen", 700, "--pin-file", first),
        ("card", "balance", *reader, "--purse", "ed", "--pin-file", first),
        ("card", "purchase", *reader, "--sam", "soft:psam", "--amount-fen", 5),
        ("card", "info", *reader),
        ("card", "log", *reader),
    ]
    secrets = [bytes.fromhex(PIN), bytes.fromhex(OTHER_PIN), *keys_in("card-sm4"), *keys_in("psam")]
    for number, line in enumerate(lines):
        trace = desk.directory / f"trace-{number}"
        said = desk.campus(*line, "--trace", trace, *(["--trace-full"] if full else []))
        assert said.code == 0, said.err
        assert_no_secret(trace, secrets)
        text = hexadecimal(trace)
        assert (profile["asn"] in text) is full
        assert (b"S00000456".hex().upper() in text) is (full and line[1] == "info")


@pytest.mark.parametrize(
    ("kind", "blank", "profile", "serial"),
    [
        ("card", "card-blank", "card-sm4", "00000001000000000456"),
        ("psam", "psam-blank", "psam", "00000000000000000001"),
    ],
)
def test_no_key_of_a_personalisation_is_in_its_trace(
    desk: Desk, key_store: Path, profile_to_make: Callable[[str], Path], kind: str, blank: str, profile: str,
    serial: str,
) -> None:  # fmt: skip
    trace = desk.directory / "trace"
    full = ["--trace-full"] if kind == "card" else []
    said = desk.campus(
        kind, "personalise", "--reader", f"soft:{blank},state={desk.directory / 'made'}",
        "--key-store", key_store, "--passphrase-file", desk.directory / "passphrase",
        "--profile", profile_to_make(profile), "--trace", trace, *full,
    )  # fmt: skip
    assert said.code == 0, said.err
    sealed = SealedFile.open(key_store, PASSPHRASE)
    secrets = [TRANSPORT_KEY]
    for entry in sealed.entries():
        factors: tuple[tuple[bytes, ...], ...] = ((), (bytes.fromhex(serial)[2:],))
        secrets += [sealed.working_key(entry.name, each) for each in factors]
    assert_no_secret(trace, secrets)
    commands = [each.command for each in read_trace(trace) if each.command.octets[:2] == b"\x84\xd4"]
    assert len(commands) > 4, "keys were written"
    for command in commands:
        assert command.hidden == frozenset(range(5, len(command.octets))), "no cryptogram of a key either"


def test_what_the_psam_computes_with_a_delivered_key_is_hidden(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with Trace(path, VirtualClock(), full=True) as trace:
        inner = VirtualReader(VirtualPsam(load_psam_profile("psam"))).channel()
        psam = Psam(trace.channel(inner, "sam"))
        psam.select_issuer(bytes.fromhex("4355434100000001"))
        psam.deliver_key(0x09, 1, ())
        session_key = psam.cipher(CipherMode.ENCRYPT, bytes(range(16)))
    assert len(session_key) == 16
    assert_no_secret(path, [session_key, bytes(range(16)), *keys_in("psam")])


def test_a_command_that_nobody_described_is_hidden_whole(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with Trace(path, VirtualClock(), full=True) as trace:
        channel = trace.channel(VirtualReader(VirtualCard(load_card_profile("card-3des"))).channel(), "card")
        channel.transmit(bytes.fromhex("80E80000103F3F3F3F3F3F3F3F1122334455667788"))
        channel.transmit(bytes.fromhex("002000FF0231415926"))  # a PIN with a wrong length
        channel.transmit(bytes.fromhex("002000FF0331415926"))  # what looks like an Le is its end
    assert_no_secret(path, [bytes.fromhex("3F3F3F3F3F3F3F3F1122334455667788"), bytes.fromhex("31415926")])
    for each in read_trace(path):
        assert each.command.hidden == frozenset(range(5, len(each.command.octets)))


def test_an_answer_that_is_fetched_later_is_hidden_like_its_command(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    loaded = load_card_profile("card-3des")
    with Trace(path, VirtualClock()) as trace:
        card = VirtualCard(replace(loaded, flags=replace(loaded.flags, get_response=True)))
        channel = trace.channel(VirtualReader(card).channel(), "card")
        assert exchange(channel, select_name(AID)).sw == 0x9000
    found = read_trace(path)
    assert [each.command.octets[1] for each in found] == [0xA4, 0xC0]
    assert loaded.asn.hex().upper() not in hexadecimal(path)
    assert loaded.asn[-2:].hex().upper() in hexadecimal(path), "the end of the number is shown"


def test_a_card_number_that_was_seen_is_hidden_wherever_it_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    loaded = load_card_profile("card-3des")
    with Trace(path, VirtualClock()) as trace:
        channel = trace.channel(VirtualReader(VirtualCard(loaded)).channel(), "card")
        exchange(channel, select_name(AID))
        exchange(channel, read_binary(0x15, 10, 10))
        exchange(channel, Command(0x00, 0xD6, 0x85, 0x00, loaded.asn[2:]))
    assert loaded.asn[2:].hex().upper() not in hexadecimal(path)


def test_an_answer_that_never_came_is_told_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    reader = VirtualReader(VirtualCard(load_card_profile("card-3des")))
    with Trace(path, VirtualClock(), Language.CHINESE.say) as trace:
        channel = trace.channel(reader.channel(), "card")
        reader.tear_after_command(1)
        with pytest.raises(CardLeft):
            exchange(channel, verify_pin(0, bytes.fromhex(PIN)))
    (only,) = read_trace(path)
    assert only.answer is None
    assert "CardLeft" in path.read_text(encoding="utf-8")
    assert_no_secret(path, [bytes.fromhex(PIN)])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: text.replace("# campuscard", "# somebody"), "is no APDU trace"),
        (lambda text: text.replace("  < ", "  < XX"), "line 5"),
        (lambda text: text.replace("  > 00A4", "  > 00A"), "line 4"),
        (lambda text: text[: text.rindex("  < ")], "line 3"),
        (lambda text: text.replace("  > ", "  < "), "line 4"),
    ],
)
def test_a_damaged_trace_is_refused_with_its_line(
    tmp_path: Path, damage: Callable[[str], str], told: str
) -> None:
    path = tmp_path / "trace"
    with Trace(path, VirtualClock()) as trace:
        channel = trace.channel(VirtualReader(VirtualCard(load_card_profile("card-3des"))).channel(), "card")
        channel.transmit(bytes.fromhex("00A40000023F00"))
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("      ")) + "\n"
    path.write_text(text)
    assert len(read_trace(path)) == 1
    path.write_text(damage(text))
    with pytest.raises(Misconfigured, match=told):
        read_trace(path)


HEADERS = st.tuples(
    st.sampled_from([0x00, 0x04, 0x80, 0x84, 0x0C, 0xFF]),
    st.sampled_from([0x20, 0x24, 0x50, 0x54, 0x5A, 0x70, 0x72, 0x82, 0x84, 0x88, 0xA4, 0xB0, 0xB2, 0xC0, 0xD4,
                     0xD6, 0xDC, 0xE0, 0xFA, 0x1A, 0x33]),
    st.integers(0, 255),
    st.integers(0, 255),
)  # fmt: skip


@settings(max_examples=size(150, 3000), deadline=None)
@given(st.lists(st.tuples(HEADERS, st.binary(max_size=40)), min_size=1, max_size=8))
def test_whatever_is_sent_the_trace_reads_back_and_hides_what_it_must(
    sent: list[tuple[tuple[int, int, int, int], bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trace"
        crossed = []
        with Trace(path, VirtualClock(), Language.CHINESE.say) as trace:
            inner = VirtualReader(VirtualCard(load_card_profile("card-3des"))).channel()
            channel = trace.channel(inner, "card")
            for header, body in sent:
                command = bytes(header) + body
                crossed.append((command, channel.transmit(command)))
        for each, (command, answer) in zip(read_trace(path), crossed, strict=True):
            assert each.command.differs_from(command) is None
            assert each.answer is not None
            assert each.answer.differs_from(answer) is None
            secure = command[0] & 0x0F == 0x04 and command[1] not in {0xB0, 0xB2}
            if command[1] in {0x20, 0x24, 0xD4, 0xFA, 0x82, 0x88} or secure:
                assert each.command.hidden == frozenset(range(5, len(command)) if len(command) > 5 else ())
