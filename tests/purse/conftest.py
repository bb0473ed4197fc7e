"""The card and the PSAM in software on readers of this process, for every algorithm and way to answer."""

import pytest

from campus_node.purse.psam import Psam
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_psam_profile
from hil_rig.virtual.psam import VirtualPsam
from tests.purse.subject import (
    Subject,
)


@pytest.fixture(params=["card-3des", "card-sm4"])
def algorithm_profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["answers at once", "asks back as under T=0"])
def card(request: pytest.FixtureRequest, algorithm_profile: str) -> Subject:
    return Subject(algorithm_profile, asks_back=request.param)


@pytest.fixture
def psam() -> Psam:
    return Psam(VirtualReader(VirtualPsam(load_psam_profile("psam"))).channel())
