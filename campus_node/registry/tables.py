"""Tables of terminals, PSAMs and cards."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text

from campus_node.database.metadata import metadata

registry_versions = Table(  # one row a part; goes up with each change, so that others see that there was one
    "registry_versions",
    metadata,
    Column("part", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

psams = Table(
    "psams",
    metadata,
    Column("psam_serial", LargeBinary(10), primary_key=True),
    Column("key_usage", SmallInteger, nullable=False),  # of its session key, as a HELLO names it
    Column("key_version", SmallInteger, nullable=False),
    Column("key_algorithm", Text, nullable=False),
    Column("registered_at_unix_ms", BigInteger, nullable=False),
    Column("revoked_at_unix_ms", BigInteger),
    Column("last_good_terminal_seq", BigInteger),  # of a revoked one; what it counted later is refused
)

terminals = Table(
    "terminals",
    metadata,
    Column("terminal_id", LargeBinary(6), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("psam_serial", LargeBinary(10), nullable=False),
    Column("gateway", Text, nullable=False),
    Column("line", Text, nullable=False),  # empty = wherever it turns up
    Column("address", SmallInteger, nullable=False),  # 0 likewise
    Column("merchant_account", BigInteger, nullable=False),
    Column("ring", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("registered_at_unix_ms", BigInteger, nullable=False),
    Column("changed_at_unix_ms", BigInteger, nullable=False),
)
_in_use = terminals.c.state.in_(("active", "isolated"))
Index(  # a PSAM is in one terminal at a time
    "ux_terminals_psam", terminals.c.psam_serial, unique=True, postgresql_where=_in_use, sqlite_where=_in_use
)
_placed = _in_use & (terminals.c.address > 0)
Index(
    "ux_terminals_place",
    terminals.c.gateway,
    terminals.c.line,
    terminals.c.address,
    unique=True,
    postgresql_where=_placed,
    sqlite_where=_placed,
)

cards = Table(
    "cards",
    metadata,
    Column("asn", LargeBinary(10), primary_key=True),
    Column("issuer", LargeBinary(8), nullable=False),
    Column("account", BigInteger, nullable=False),
    Column("registered_at_unix_ms", BigInteger, nullable=False),
)
Index("ix_cards_account", cards.c.account)

card_flags = Table(  # what was ever the matter with a card; a flag that is over has an end
    "card_flags",
    metadata,
    Column("asn", LargeBinary(10), primary_key=True),
    Column("flag", Text, primary_key=True),
    Column("set_at_unix_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("effective_at_unix_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ended_at_unix_ms", BigInteger),
)
_open = card_flags.c.ended_at_unix_ms.is_(None)
Index(
    "ux_card_flags_open",
    card_flags.c.asn,
    card_flags.c.flag,
    unique=True,
    postgresql_where=_open,
    sqlite_where=_open,
)
