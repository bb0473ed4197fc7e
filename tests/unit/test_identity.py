"""Identities: who a certificate says it is, exactly or not at all."""

import pytest

from federation.errors import NotPermitted
from federation.identity import Identity, Role, is_name, parse_identity


@pytest.mark.parametrize("role", Role)
def test_an_identity_and_its_uri_tell_the_same(role: Role) -> None:
    identity = Identity("north", role, "0001")
    assert identity.uri == f"campuscard://north/{role}/0001"
    assert parse_identity(identity.uri) == identity


def test_a_terminal_chooses_ids_in_a_namespace_of_its_own() -> None:
    assert Identity("north", Role.TERMINAL, "0001").originator_name == "terminal/0001"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "campuscard://",
        "campuscard://north",
        "campuscard://north/node",
        "campuscard://north/node/",
        "campuscard://north/node/a/b",
        "campuscard://north/node/a/",
        "campuscard:///node/a",
        "campuscard://north/admin/a",
        "campuscard://north/NODE/a",
        "campuscard://North/node/a",
        "campuscard://north/node/a?x=1",
        "campuscard://north/node/a#x",
        "campuscard://north:1/node/a",
        "campuscard://x@north/node/a",
        "campuscard://north/node/a\n",
        " campuscard://north/node/a",
        "campuscard://north/node/%61",
        "campuscard://北/node/a",
        "CAMPUSCARD://north/node/a",
        "https://north/node/a",
        "campuscard:north/node/a",
        "campuscard://campuscard://north/node/a",
    ],
)
def test_anything_else_is_nobody(uri: str) -> None:
    with pytest.raises(NotPermitted, match="is not campuscard://<campus>"):
        parse_identity(uri)


@pytest.mark.parametrize("text", ["a", "0", "a-b", "x" * 63, "0001"])
def test_a_dns_label_is_a_name(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "-a", "A", "a_b", "a.b", "x" * 64, "a\n", "ａ", "٣"])
def test_what_is_no_dns_label_is_no_name(text: str) -> None:
    assert not is_name(text)


def test_a_name_does_not_end_with_a_hyphen() -> None:
    assert not is_name("a-")  # RFC 1123, 2.1
