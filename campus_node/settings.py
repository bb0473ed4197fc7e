"""Settings of a campus: `campus.toml` in its directory, overridden by `CAMPUS_<SECTION>__<KEY>`.

Every key has a default except the campus's name and number. All that is wrong is reported in one go: where it
stands, what is wrong with it, what to write instead.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from campus_node import settings_checks as checks
from campus_node.settings_reading import (
    FileSettings,
    Listen,
    LogSection,
    PathText,
    Seconds,
    Section,
    Whole,
    check_environment,
    read_text,
    settings_of,
    values_in,
)
from campus_node.wording import Sentence

FILE_NAME: Final = "campus.toml"
ENVIRONMENT_PREFIX: Final = "CAMPUS_"


class CampusSettings(Section):
    """Who this campus is."""

    name: Annotated[str, AfterValidator(checks.name)] = Field(
        description="a DNS label; stands in every certificate and never changes", examples=["north"]
    )
    number: Whole = Field(
        ge=1, le=9999, description="unique in the scheme; stands in every card number", examples=[12]
    )
    title_zh: str = Field(default="", description="what people read", examples=["北校区"])
    title_en: str = Field(default="", description="what people read", examples=["North Campus"])
    domain: Annotated[str, AfterValidator(checks.domain)] = Field(
        default="",
        validate_default=False,
        description="DNS domain of its machines; empty = <name>.campus.test",
        examples=["card.north.example"],
    )
    timezone: Annotated[str, AfterValidator(checks.timezone)] = Field(
        default="Asia/Shanghai", description="IANA name", examples=["Asia/Shanghai"]
    )
    cut_off: Annotated[str, AfterValidator(checks.cut_off)] = Field(
        default="00:00", description="local time, HH:MM, at which a business day ends", examples=["03:00"]
    )


class LedgerSettings(Section):
    """Where the books are and how much may wait for them."""

    database: Annotated[str, AfterValidator(checks.database)] = Field(
        default="sqlite:///data/ledger.sqlite",
        description="sqlite:///PATH (relative to this directory) or postgresql://USER:PASSWORD@HOST/NAME",
        examples=["sqlite:///data/ledger.sqlite"],
    )
    queue_items_max: Whole = Field(
        default=8192, ge=1, le=1_000_000, description="more are refused with a retry hint", examples=[8192]
    )
    batch_items_max: Whole = Field(
        default=1024, ge=1, le=8192, description="items in one durable commit", examples=[1024]
    )
    outage_hold_s: Seconds = Field(
        default=10.0,
        ge=0,
        le=600,
        description="how long callers are held while the database is gone",
        examples=[10],
    )


class GrpcSettings(Section):
    """The API of gateways, terminals and peers."""

    listen: Listen = Field(
        default="127.0.0.1:7443", description="HOST:PORT; port 0 = a free one", examples=["127.0.0.1:7443"]
    )
    message_bytes_max: Whole = Field(
        default=4_194_304,
        ge=65_536,
        le=67_108_864,
        description="larger messages are refused",
        examples=[4_194_304],
    )
    keepalive_s: Seconds = Field(
        default=20.0, ge=1, le=7200, description="a ping after this much silence", examples=[20]
    )
    reflection: bool = Field(
        default=False, description="tell callers the API's description", examples=["false"]
    )
    drain_s: Seconds = Field(
        default=10.0, ge=0, le=600, description="how long TERM waits for what is under way", examples=[10]
    )


class MetricsSettings(Section):
    """Prometheus metrics and GET /healthz."""

    listen: Listen = Field(
        default="127.0.0.1:9464", description="HOST:PORT; port 0 = a free one", examples=["127.0.0.1:9464"]
    )


class WebSettings(Section):
    """HTTPS: the REST interface."""

    listen: Listen = Field(
        default="127.0.0.1:8443", description="HOST:PORT; port 0 = a free one", examples=["127.0.0.1:8443"]
    )
    body_bytes_max: Whole = Field(
        default=262_144,
        ge=4_096,
        le=16_777_216,
        description="larger messages are refused",
        examples=[262_144],
    )


class DevicesSettings(Section):
    """Health of gateways, lines and devices, and the gRPC port for devices of others."""

    listen: Listen = Field(
        default="127.0.0.1:7445", description="HOST:PORT; port 0 = a free one", examples=["127.0.0.1:7445"]
    )
    silent_after_s: Seconds = Field(
        default=60.0, ge=5, le=86_400, description="a gateway not heard for so long is silent", examples=[60]
    )
    calls_per_s: Seconds = Field(
        default=10.0, ge=0.1, le=1_000, description="calls that each device key may make", examples=[10]
    )


class PkiSettings(Section):
    """Certificates; paths are relative to this directory."""

    root: PathText = Field(default="pki/root.pem", description="the scheme's root", examples=["pki/root.pem"])
    campus_ca: PathText = Field(
        default="pki/campus.pem", description="what issues this campus's leaves", examples=["pki/campus.pem"]
    )
    crl: PathText = Field(
        default="pki/campus.crl.pem", description="what it revoked", examples=["pki/campus.crl.pem"]
    )
    node_certificate: PathText = Field(
        default="pki/leaves/node-1.pem",
        description="the node's leaf, then campus_ca",
        examples=["pki/leaves/node-1.pem"],
    )
    node_key: PathText = Field(
        default="pki/leaves/node-1.key", description="its private key", examples=["pki/leaves/node-1.key"]
    )


class KeySettings(Section):
    """The key store from which session keys are lent to gateways; docs/records.md."""

    store: str = Field(
        default="",
        description="directory of the key store, or pkcs11:LABEL; empty = no key is lent",
        examples=["keys"],
    )
    pkcs11_module: str = Field(
        default="", description="the token's PKCS#11 library", examples=["/usr/lib/softhsm/libsofthsm2.so"]
    )
    passphrase_file: str = Field(
        default="",
        description="its first line is the passphrase, or the token's PIN",
        examples=["keys.passphrase"],
    )
    lease_hours: Whole = Field(
        default=168,
        ge=2,
        le=8760,
        description="so long a lent key begins sessions while the node is away",
        examples=[168],
    )


class RecordSettings(Section):
    """Records of terminals, and what terminals ask."""

    covered_by: Literal["commit", "backup"] = Field(
        default="commit",
        description="commit, or backup: terminals keep records until campus record covered",
        examples=["backup"],
    )
    recollect_after_s: Seconds = Field(
        default=600.0,
        ge=1,
        le=604_800,
        description="so long a record is missing before it is asked for again",
        examples=[600],
    )
    begun_after_s: Seconds = Field(
        default=600.0,
        ge=1,
        le=604_800,
        description="so long the end of a sale is waited for before it counts as grey",
        examples=[600],
    )
    grey_days: Whole = Field(
        default=7, ge=1, le=365, description="after so many days people decide a grey sale", examples=[7]
    )
    reservation_hours: Whole = Field(
        default=72, ge=1, le=168, description="so long an approved payment may stay unposted", examples=[72]
    )


class FirmwareSettings(Section):
    """Distribution of firmware."""

    meals: Annotated[str, AfterValidator(checks.meals)] = Field(
        default="06:30-09:00,11:00-13:30,17:00-19:30",
        description="local times without distribution unless somebody insists; empty = none",
        examples=["11:00-13:30,17:00-19:30"],
    )


class LogSettings(LogSection):
    """What the node writes about itself."""


class Settings(FileSettings, env_prefix=ENVIRONMENT_PREFIX):
    """All settings of one campus, checked."""

    campus: CampusSettings
    ledger: LedgerSettings = LedgerSettings()
    grpc: GrpcSettings = GrpcSettings()
    metrics: MetricsSettings = MetricsSettings()
    web: WebSettings = WebSettings()
    devices: DevicesSettings = DevicesSettings()
    pki: PkiSettings = PkiSettings()
    keys: KeySettings = KeySettings()
    records: RecordSettings = RecordSettings()
    firmware: FirmwareSettings = FirmwareSettings()
    log: LogSettings = LogSettings()

    @property
    def domain(self) -> str:
        """The DNS domain of this campus's machines."""
        return self.campus.domain or default_domain(self.campus.name)


def default_domain(campus: str) -> str:
    """Return the example domain of a campus."""
    return f"{campus}.campus.test"


def load_settings(directory: Path) -> Settings:
    """Return the settings of the campus in a directory.

    Raises:
        Misconfigured: no such file, no TOML, or at least one wrong value; lists all of them.
    """
    path = directory / FILE_NAME
    absent = Sentence(
        "{directory} holds no campus: {name} is not there. "
        "Make one with: campus init {directory} --campus NAME",
        directory=path.parent,
        name=path.name,
    )
    return parse_settings(read_text(path, absent), path)


def parse_settings(text: str, path: Path) -> Settings:
    """Return the settings that the text of a campus.toml and the environment give.

    Args:
        text: TOML.
        path: where the text is, for messages.

    Raises:
        Misconfigured: no TOML, or at least one wrong value; lists all of them.
    """
    values = values_in(text, path)
    check_environment(Settings)
    return settings_of(Settings, values, text, path)
