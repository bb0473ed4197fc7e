"""Known answers: what is made is what a published trace has, and one changed byte makes something else."""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from campus_node.purse import algorithm as cryptography_of
from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm, session_key, session_mac, tac, verify_mac
from campus_node.purse.errors import MacWrong

FILE = Path(__file__).parents[1] / "vectors" / "purse.toml"
CONTENT = tomllib.loads(FILE.read_text(encoding="utf-8"))
NAMED = {"3des": Algorithm.TDES, "sm4": Algorithm.SM4}
SEEDS: dict[str, Callable[..., bytes]] = {
    "purchase_session_key": mac.purchase_seed,
    "online_session_key": mac.online_seed,
}
DESCRIPTION = {"source", "make", "algorithm", "name", "result"}
TACS = {"load_tac", "purchase_tac"}


def _vectors() -> list[dict[str, Any]]:
    return list(CONTENT["vector"])


def _fields(vector: dict[str, Any]) -> dict[str, bytes | int]:
    chosen = {name: value for name, value in vector.items() if name not in DESCRIPTION}
    return {name: bytes.fromhex(v) if isinstance(v, str) else v for name, v in chosen.items()}


def make(what: str, algorithm: Algorithm, fields: dict[str, Any]) -> bytes:
    """Return what our code makes of a vector's fields."""
    key, rest = fields["key"], {name: value for name, value in fields.items() if name != "key"}
    if what in SEEDS:
        return session_key(algorithm, key, SEEDS[what](**rest))
    if hasattr(mac, what):
        message: Callable[..., bytes] = getattr(mac, what)
        sign = tac if what in TACS else session_mac
        return sign(algorithm, key, message(**rest))
    made: bytes = getattr(cryptography_of, what)(algorithm, key, **rest)
    return made


def one_byte_changed(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the fields again and again, each time with another byte of them changed, and which."""
    for name, value in fields.items():
        width = {"terminal_seq": 2}.get(name, 1)  # the session key takes the low half of terminal_seq
        whole = (
            value if isinstance(value, bytes) else value.to_bytes(max(width, (value.bit_length() + 7) // 8))
        )
        for at in range(len(whole)):
            other = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
            yield (
                f"{name}[{at}]",
                fields | {name: other if isinstance(value, bytes) else int.from_bytes(other)},
            )


def _ids(vector: dict[str, Any]) -> str:
    return f"{vector['source']}-{vector['make']}-{vector['algorithm']}"


@pytest.mark.parametrize("vector", _vectors(), ids=_ids)
def test_our_answer_is_the_published_one(vector: dict[str, Any]) -> None:
    made = make(vector["make"], NAMED[vector["algorithm"]], _fields(vector))
    assert made == bytes.fromhex(vector["result"])


@pytest.mark.parametrize("vector", _vectors(), ids=_ids)
def test_every_byte_counts(vector: dict[str, Any]) -> None:
    algorithm, given = NAMED[vector["algorithm"]], bytes.fromhex(vector["result"])
    changed = list(one_byte_changed(_fields(vector)))
    assert changed
    for place, fields in changed:
        other = make(vector["make"], algorithm, fields)
        with pytest.raises(MacWrong):
            verify_mac(other, given, place)


@pytest.mark.parametrize("vector", _vectors(), ids=_ids)
def test_what_was_made_verifies_and_with_one_changed_byte_it_does_not(vector: dict[str, Any]) -> None:
    made = make(vector["make"], NAMED[vector["algorithm"]], _fields(vector))
    verify_mac(made, bytes.fromhex(vector["result"]), vector["make"])
    for at in range(len(made)):
        forged = made[:at] + bytes([made[at] ^ 0x01]) + made[at + 1 :]
        with pytest.raises(MacWrong, match=vector["make"]):
            verify_mac(made, forged, vector["make"])


def test_every_vector_names_its_source_and_every_source_is_used() -> None:
    assert {vector["source"] for vector in _vectors()} == set(CONTENT["sources"])


def test_both_algorithms_have_the_same_worked_example() -> None:
    made = {
        name: Counter(v["make"] for v in _vectors() if v["source"] == "ours" and v["algorithm"] == name)
        for name in NAMED
    }
    assert set(made["3des"]) <= set(made["sm4"])
    assert {"diversify", "purchase_session_key", "purchase_tac", "load_tac"} <= set(made["3des"])
