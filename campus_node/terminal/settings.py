"""Settings of a terminal: `terminal.toml` in its directory, overridden by `CAMPUS_TERMINAL_<SECTION>__<KEY>`.

All that is wrong is reported in one go, as in a campus's settings.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from campus_node import settings_checks as checks
from campus_node.settings_mistakes import WrongSettings, line_of
from campus_node.settings_reading import (
    FileSettings,
    LogSection,
    Name,
    PathText,
    Section,
    Whole,
    check_environment,
    read_text,
    settings_of,
    values_in,
)
from campus_node.terminal import settings_words as words
from campus_node.terminal.journal import CAPACITY_MAX, CAPACITY_MIN
from campus_node.wording import Sentence

FILE_NAME: Final = "terminal.toml"
ENVIRONMENT_PREFIX: Final = "CAMPUS_TERMINAL_"

HexByte = Annotated[str, AfterValidator(words.one_byte)]
Issuer = Annotated[str, AfterValidator(words.issuer)]
NoticeKeys = Annotated[str, AfterValidator(words.keys)]
IssuerKeys = Annotated[str, AfterValidator(words.issuer_keys)]

# What each kind of line cannot do without.
NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "can": ("channel", "address"),
    "serial": ("channel", "address"),
    "tcp": ("head", "head_name"),
    "thin": ("channel", "address"),
}


class TerminalSettings(Section):
    """Which terminal this is."""

    campus: Name = Field(description="the campus's name", examples=["north"])
    name: Name = Field(description="as it is registered; a DNS label", examples=["till-7"])
    model: Name = Field(default="pos", description="whose firmware it takes", examples=["pos"])


class LineSettings(Section):
    """The way to its gateway."""

    kind: Literal["none", "can", "serial", "tcp", "thin"] = Field(
        default="none", description="none, can, serial, tcp or thin", examples=["can"]
    )
    interface: str = Field(
        default="socketcan",
        description="can: python-can's interface: socketcan, slcan, pcan, campus-broker …",
        examples=["socketcan"],
    )
    channel: str = Field(
        default="",
        description="can0, a serial port such as /dev/ttyUSB0, or the radio module's socket",
        examples=["can0"],
    )
    rate: Whole = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="bits a second; 0 = 250000 on CAN, 115200 on a serial port",
        examples=[250_000],
    )
    direction: Literal["adapter", "kernel", "rts"] = Field(
        default="adapter",
        description="serial: who turns the transceiver round: adapter, kernel or rts",
        examples=["adapter"],
    )
    address: Whole = Field(
        default=0, ge=0, le=254, description="its address on the bus, 1 to 254; 0 on TCP", examples=[7]
    )
    head: Annotated[str, AfterValidator(words.listen_or_nothing)] = Field(
        default="", description="tcp: HOST:PORT of the gateway's line", examples=["10.1.0.9:7444"]
    )
    head_name: Annotated[str, AfterValidator(checks.domain)] = Field(
        default="",
        description="tcp: the DNS name in the gateway's certificate",
        examples=["canteen.gateway.north.campus.test"],
    )
    metered: bool = Field(
        default=False, description="tcp: bytes cost: batch what is not urgent", examples=["false"]
    )


class PkiSettings(Section):
    """Certificates, for a line over TCP; paths are relative to this directory."""

    campus_ca: PathText = Field(
        default="pki/campus.pem", description="what issued the gateway's leaf", examples=["pki/campus.pem"]
    )
    certificate: PathText = Field(
        default="pki/terminal.pem", description="its leaf, then campus_ca", examples=["pki/terminal.pem"]
    )
    key: PathText = Field(
        default="pki/terminal.key", description="its private key", examples=["pki/terminal.key"]
    )


class ReaderSettings(Section):
    """Where cards are laid."""

    name: PathText = Field(
        description="PC/SC reader, see campus card readers; or soft:PROFILE[,state=FILE]",
        examples=["soft:card-sm4"],
    )


class SamSettings(Section):
    """The PSAM, and which key of it begins sessions with the gateway."""

    reader: PathText = Field(
        description="PC/SC reader with the PSAM; or soft:PROFILE[,state=FILE]", examples=["soft:psam"]
    )
    application: Issuer = Field(
        default="4355434100000001",
        description="the application with the session key: 16 hexadecimal digits",
        examples=["4355434100000001"],
    )
    key_usage: HexByte = Field(default="28", description="of the session key, hexadecimal", examples=["28"])
    key_version: Whole = Field(default=1, ge=1, le=254, description="of the session key", examples=[1])
    key_algorithm: Literal["3des", "sm4"] = Field(default="sm4", description="3des or sm4", examples=["sm4"])
    factors: Whole = Field(
        default=1,
        ge=1,
        le=3,
        description="diversification factors its purchase keys need: 1 = the card's, 2 = the issuer's too",
        examples=[1],
    )
    factor_order: Literal["card_first", "bank_first"] = Field(
        default="card_first", description="card_first or bank_first", examples=["card_first"]
    )
    tries: Whole = Field(
        default=100,
        ge=2,
        le=255,
        description="wrong MAC2 that it stands; half of them stop offline sales",
        examples=[100],
    )


class TillSection(Section):
    """What it sells, and who is paid."""

    mode: Literal["keypad", "fixed", "menu", "quota", "session", "flat", "entry", "exit", "load"] = Field(
        default="keypad",
        description="keypad, fixed, menu, quota, session, flat, entry, exit or load",
        examples=["keypad"],
    )
    merchant_zh: str = Field(default="", description="the merchant's title", examples=["第一食堂"])
    merchant_en: str = Field(default="", description="the merchant's title", examples=["First canteen"])
    tariff: Whole = Field(
        default=0, ge=0, le=255, description="till or dish class; a vehicle's line", examples=[1]
    )
    stop: Whole = Field(default=0, ge=0, le=255, description="where a vehicle is at first", examples=[0])
    consent: Literal["button", "pin"] = Field(
        default="button", description="what confirms a larger payment: button or pin", examples=["button"]
    )
    shown_s: Whole = Field(
        default=3, ge=1, le=60, description="how long an outcome stays on the screen", examples=[3]
    )
    online_wait_ms: Whole = Field(
        default=3_000, ge=200, le=20_000, description="how long the gateway is waited for", examples=[3000]
    )


class JournalSettings(Section):
    """Where it writes down what it sold; on a disk that keeps what it was told to keep."""

    path: PathText = Field(
        default="journal/journal", description="relative to this directory", examples=["journal/journal"]
    )
    capacity: Whole = Field(
        default=32_768,
        ge=CAPACITY_MIN,
        le=CAPACITY_MAX,
        description="records, 512 bytes each; cannot be changed later",
        examples=[32_768],
    )


class TrustSettings(Section):
    """Whom it believes beside its gateway; public Ed25519 keys of 64 hexadecimal digits, joined by commas."""

    notice_keys: NoticeKeys = Field(
        default="", description="who may revoke cards and distribute to all", examples=["<64 digits>"]
    )
    hotlist_keys: IssuerKeys = Field(
        default="",
        description="ISSUER:KEY; an issuer without one is believed as the campus passes it on",
        examples=["4355434100000001:<64 digits>"],
    )
    firmware_keys: NoticeKeys = Field(
        default="", description="whose firmware it takes; none = it takes none", examples=["<64 digits>"]
    )
    clock: Literal["told", "machine"] = Field(
        default="told",
        description="told = the gateway sets the clock; machine = this machine keeps time by itself (NTP)",
        examples=["told"],
    )


class ViewSettings(Section):
    """What the cashier looks at."""

    kind: Literal["line", "browser", "none"] = Field(
        default="line", description="line (a terminal window), browser or none", examples=["line"]
    )
    listen: Annotated[str, AfterValidator(checks.listen)] = Field(
        default="127.0.0.1:8437",
        description="browser: HOST:PORT; port 0 = a free one",
        examples=["127.0.0.1:8437"],
    )
    language: Literal["zh", "en"] = Field(default="zh", description="zh or en", examples=["zh"])
    columns: Whole = Field(default=20, ge=16, le=80, description="line: characters", examples=[20])
    rows: Whole = Field(default=4, ge=2, le=8, description="line: lines, 2 or more", examples=[4])


class FirmwareSettings(Section):
    """How new firmware comes into use."""

    version: Whole = Field(
        default=1, ge=1, le=2**31 - 1, description="of what is installed here", examples=[1]
    )
    idle_s: Whole = Field(
        default=60, ge=0, le=86_400, description="restart into it after so long without a card", examples=[60]
    )
    alone_s: Whole = Field(
        default=600,
        ge=1,
        le=86_400,
        description="without a gateway it is healthy after so long that it could sell",
        examples=[600],
    )
    trial_s: Whole = Field(
        default=900, ge=2, le=172_800, description="to be healthy within; else the old one", examples=[900]
    )


class LogSettings(LogSection):
    """What the terminal writes about itself."""


class Settings(FileSettings, env_prefix=ENVIRONMENT_PREFIX):
    """All settings of one terminal, checked."""

    terminal: TerminalSettings
    line: LineSettings = LineSettings()
    pki: PkiSettings = PkiSettings()
    reader: ReaderSettings
    sam: SamSettings
    till: TillSection = TillSection()
    journal: JournalSettings = JournalSettings()
    trust: TrustSettings = TrustSettings()
    view: ViewSettings = ViewSettings()
    firmware: FirmwareSettings = FirmwareSettings()
    log: LogSettings = LogSettings()

    @property
    def merchant(self) -> str:
        """The merchant's title in the language of the screen, or in the other one."""
        zh, en = self.till.merchant_zh, self.till.merchant_en
        return (zh or en) if self.view.language == "zh" else (en or zh)


def load_settings(directory: Path) -> Settings:
    """Return the settings of the terminal in a directory.

    Raises:
        Misconfigured: no such file, no TOML, or at least one wrong value; lists all of them.
    """
    path = directory / FILE_NAME
    absent = Sentence(
        "{directory} holds no terminal: {name} is not there. "
        "Make one with: campus terminal init {directory} --campus-directory CAMPUS --name NAME",
        directory=path.parent,
        name=path.name,
    )
    return parse_settings(read_text(path, absent), path)


def parse_settings(text: str, path: Path) -> Settings:
    """Return the settings that the text of a terminal.toml and the environment give.

    Args:
        text: TOML.
        path: where the text is, for messages.

    Raises:
        Misconfigured: no TOML, or at least one wrong value; lists all of them.
    """
    values = values_in(text, path)
    check_environment(Settings)
    settings = settings_of(Settings, values, text, path)
    missing = [key for key in NEEDED[settings.line.kind] if not getattr(settings.line, key)]
    if missing:
        raise WrongSettings([_lacks(settings.line, key, path, text) for key in missing])
    return settings


def _lacks(line: LineSettings, key: str, path: Path, text: str) -> Sentence:
    field = LineSettings.model_fields[key]
    number = line_of(text, "line", None)
    where: Sentence | str = str(path)
    if number is not None:
        where = Sentence("{path}, line {line}", path=path, line=number)
    example = (field.examples or [""])[0]
    return Sentence(
        "{where}: a line of kind {kind} needs {key} ({description}). Write, for example: {example}",
        where=where,
        kind=line.kind,
        key=key,
        description=field.description,
        example=f"{key} = {example}" if isinstance(example, int) else f'{key} = "{example}"',
    )
