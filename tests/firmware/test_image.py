"""A firmware image is believed if its maker signed it, and taken if it fits (B4.4)."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from campus_node.firmware.image import (
    FILE_BYTES_MAX,
    ImageForged,
    ImageRefused,
    check_fits,
    keys_by_id,
    label_of,
    open_image,
    sign,
)

MAKER = Ed25519PrivateKey.from_private_bytes(b"maker".ljust(32, b"."))
STRANGER = Ed25519PrivateKey.from_private_bytes(b"stranger".ljust(32, b"."))
KEYS = keys_by_id([MAKER.public_key()])
CONTENT = random.Random("firmware").randbytes(1000)


def test_what_was_signed_comes_out_as_it_was() -> None:
    image = open_image(sign(MAKER, CONTENT, "pos-2", 7, 3), KEYS)
    assert image.content == CONTENT
    assert (image.label.model, image.label.version, image.label.minimum_version) == ("pos-2", 7, 3)


def test_its_form_is_the_documented_one() -> None:
    file = sign(MAKER, b"content", "pos-2", 0x01020304, 5)
    assert file[:15] == b"CAMPUSFW\x01\x05pos-2"
    assert file[15:27] == bytes.fromhex("01020304 00000005 00000007")
    assert len(file) == 122 + 5 + 7
    assert file[-7:] == b"content"


def test_every_changed_byte_is_noticed() -> None:
    file = sign(MAKER, b"short content", "pos-2", 7)
    for at in range(len(file)):
        changed = file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]
        with pytest.raises(ImageForged):
            open_image(changed, KEYS)


def test_every_cut_and_every_addition_is_noticed() -> None:
    file = sign(MAKER, b"short content", "pos-2", 7)
    for wrong in [*(file[:length] for length in range(len(file))), file + b"\0"]:
        with pytest.raises(ImageForged):
            open_image(wrong, KEYS)


def test_a_strangers_signature_is_not_believed() -> None:
    file = sign(STRANGER, CONTENT, "pos-2", 7)
    with pytest.raises(ImageForged, match="unknown"):
        open_image(file, KEYS)
    pretended = file[:59] + sign(MAKER, CONTENT, "pos-2", 7)[59:63] + file[63:]
    assert label_of(pretended)[1] == label_of(sign(MAKER, CONTENT, "pos-2", 7))[1]
    with pytest.raises(ImageForged, match="wrong"):
        open_image(pretended, KEYS)


@given(st.binary(max_size=300))
def test_garbage_is_no_image(garbage: bytes) -> None:
    for file in (garbage, sign(MAKER, b"x", "pos-2", 7)[:60] + garbage):
        with pytest.raises(ImageForged):
            open_image(file, KEYS)


@pytest.mark.parametrize(
    ("model", "has", "why"),
    [
        ("pos-3", 5, "is for pos-2"),
        ("pos-2", 7, "7 is there"),
        ("pos-2", 8, "8 is there"),
        ("pos-2", 2, "needs"),
    ],
)
def test_another_model_an_older_version_and_a_jump_are_refused(model: str, has: int, why: str) -> None:
    label = open_image(sign(MAKER, CONTENT, "pos-2", 7, 3), KEYS).label
    with pytest.raises(ImageRefused, match=why):
        check_fits(label, model, has)
    check_fits(label, "pos-2", 3)


@pytest.mark.parametrize(
    ("model", "version", "minimum", "size"),
    [("", 7, 0, 9), ("POS", 7, 0, 9), ("a" * 33, 7, 0, 9), ("pos", 0, 0, 9), ("pos", 7, 7, 9),
     ("pos", 1 << 32, 0, 9), ("pos", 7, 0, 0), ("pos", 7, 0, FILE_BYTES_MAX)],
)  # fmt: skip
def test_what_no_terminal_could_take_is_not_signed(model: str, version: int, minimum: int, size: int) -> None:
    with pytest.raises(ImageRefused):
        sign(MAKER, bytes(size), model, version, minimum)
