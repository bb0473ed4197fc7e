"""Tables of hotlists, parameters, orders, and of what gateways are to be told."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, SmallInteger, Table, Text

from campus_node.database.metadata import metadata

notice_head = Table(  # one row: locking it puts all changes in one order
    "notice_head",
    metadata,
    Column("head", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),  # of the last notice that was signed
    Column("mark", BigInteger, nullable=False),  # of the last announcement
)

announcements = Table(  # the newest of each key: what a gateway is told that attaches
    "announcements",
    metadata,
    Column("key", Text, primary_key=True),
    Column("mark", BigInteger, nullable=False, unique=True),
    Column("gateway", Text),  # null = all
    Column("body", LargeBinary, nullable=False),  # NodeToGateway
    Column("expires_at_unix_ms", BigInteger, nullable=False),
)

hotlists = Table(
    "hotlists",
    metadata,
    Column("issuer", LargeBinary(8), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),  # deltas are known from this version on
)

hotlist_entries = Table(  # the newest hotlist
    "hotlist_entries",
    metadata,
    Column("issuer", LargeBinary(8), primary_key=True),
    Column("asn", LargeBinary(10), primary_key=True),
    Column("reason", SmallInteger, nullable=False),
)

hotlist_changes = Table(  # how it came to be
    "hotlist_changes",
    metadata,
    Column("issuer", LargeBinary(8), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("asn", LargeBinary(10), primary_key=True),
    Column("reason", SmallInteger),  # null = listed no more
)

parameter_versions = Table(
    "parameter_versions",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("effective_at_unix_ms", BigInteger, nullable=False),
    Column("content", Text, nullable=False),  # canonical JSON: name to value
    Column("made_at_unix_ms", BigInteger, nullable=False),
)

holdings = Table(  # which versions terminals said that they have
    "terminal_holdings",
    metadata,
    Column("terminal_id", LargeBinary(6), primary_key=True),
    Column("subject", Text, primary_key=True),  # an issuer as 16 hexadecimal digits, or "parameters"
    Column("gateway", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("heard_at_unix_ms", BigInteger, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # of its notice, and of the order
    Column("gateway", Text, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # DistributionKind
    Column("subject", Text, nullable=False),  # what is led to the version: as of holdings, or a model
    Column("version", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),  # of the content on the shelf
    Column("notice", LargeBinary, nullable=False),
    Column("terminal_ids", LargeBinary, nullable=False),  # 6 bytes each, one behind the other
    Column("rollout", Text),
    Column("load_percent", Integer, nullable=False),
    Column("stop_at_unix_ms", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("made_at_unix_ms", BigInteger, nullable=False),
    Column("expires_at_unix_ms", BigInteger, nullable=False),
)
Index("ix_orders_is_open_gateway", orders.c.is_open, orders.c.gateway)

progress = Table(  # the newest word of each terminal about each content
    "distribution_progress",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("terminal_id", LargeBinary(6), primary_key=True),
    Column("state", SmallInteger, nullable=False),  # DistributionState
    Column("blocks_stored", Integer, nullable=False),
    Column("blocks", Integer, nullable=False),
    Column("silent", Boolean, nullable=False),
    Column("changed_at_unix_ms", BigInteger, nullable=False),
)
