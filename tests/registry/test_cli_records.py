"""`campus record show|grey|purse|counters|decide`, as somebody types them."""

from pathlib import Path

import pytest

from campus_node.database.connect import connect
from federation.clock import VirtualClock
from tests.campus.conftest import Campus
from tests.records.counter import NOON, Canteen
from tests.records.test_grey import tear

ASN = "00000001000000001001"


@pytest.fixture
def journal(north: Path, staff: None, tmp_path: Path) -> str:
    """A campus where one sale is booked, one grey and two counters are missing; its journal."""
    url = f"sqlite:///{north / 'data' / 'ledger.sqlite'}"
    db, clock = connect(url), VirtualClock()
    canteen = Canteen(db, url, clock, tmp_path)
    for fen in (1_250, 100, 200, 300):
        canteen.seven.sell(canteen.li, fen, NOON)
    tear(canteen.seven, canteen.wang, 700, charged=True)
    records = canteen.seven.records()
    canteen.deliver([*records[:2], *records[6:]])
    canteen.work()
    clock.advance(601_000)
    canteen.bookkeeper.end_begun(600_000)
    canteen.close()
    db.dispose()
    return canteen.seven.journal_id.hex().upper()


def test_records_are_shown_with_what_became_of_them(campus: Campus, journal: str) -> None:
    shown = campus("record", "show", "till-7")
    for words in ("in the books", "a later entry says how it ended", "grey: nobody knows yet"):
        assert words in " ".join(shown.out.split())
    told = campus("record", "show", journal, "--json").json["records"]
    assert [each["reason"] for each in told] == ["step", None, "step", None, "grey"]


def test_a_purse_and_its_gaps_are_shown(campus: Campus, journal: str) -> None:
    said = campus("record", "purse", ASN, "--json").json
    assert (said["movements"], said["last_fen"]) == (2, 50_000 - 1_850)
    assert len(said["missing"]) == 1
    assert "Counters are missing" in campus("record", "purse", ASN).out
    gaps = campus("record", "counters", "--json")
    assert gaps.code == 1
    assert [each["asn"] for each in gaps.json["gaps"]] == [ASN]
    assert campus("record", "purse", "7").code == 2
    assert campus("record", "purse", "0" * 20).out == "No sale of this card is in the books.\n"


def test_a_grey_sale_is_listed_and_its_decision_asked_for_once(campus: Campus, journal: str) -> None:
    (one,) = campus("record", "grey", "--json").json["grey"]
    assert (one["amount_fen"], one["state"], one["journal_id"]) == (700, "open", journal)
    assert "700" not in campus("record", "grey").out
    assert "7.00" in campus("record", "grey").out
    ask = ("record", "decide", journal, one["seq"], "--operator", "carol", "--reason", "nobody can know")
    assert campus(*ask, "--payer", "nobody").code == 2
    assert campus(*ask, "--payer", "holder").code == 1
    asked = campus(*ask, "--payer", "risk", "--json").json
    assert asked["state"] == "requested"
    assert campus(*ask, "--payer", "risk", "--json").json["approval"] == asked["approval"]
    assert asked["approval"] in str(campus("approval", "list", "--json").json)
