"""Tables of gateways, lines and devices as last heard of, of devices of others, and of their keys."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, SmallInteger, Table, Text

from campus_node.database.metadata import metadata

gateway_states = Table(
    "gateway_states",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("health", SmallInteger, nullable=False),
    Column("since_unix_ms", BigInteger, nullable=False),  # of this health
    Column("attached", Boolean, nullable=False),
    Column("seen_at_unix_ms", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("spool_waiting", BigInteger, nullable=False),
    Column("spool_size", BigInteger, nullable=False),
)

gateway_lines = Table(
    "gateway_lines",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("line", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("health", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_unix_ms", BigInteger, nullable=False),
    Column("bitrate", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("broken", BigInteger, nullable=False),
    Column("forged", BigInteger, nullable=False),
)

line_devices = Table(
    "line_devices",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("line", Text, primary_key=True),
    Column("address", SmallInteger, primary_key=True, autoincrement=False),
    Column("terminal_id", LargeBinary(6)),  # NULL = nobody proved to be there
    Column("health", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_unix_ms", BigInteger, nullable=False),
    Column("heard_at_unix_ms", BigInteger, nullable=False),
    Column("report", Text, nullable=False),  # JSON, what it said of itself last; {} = nothing yet
)

reported_devices = Table(
    "reported_devices",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("health", SmallInteger, nullable=False),  # as reported
    Column("reason", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),  # the device's clock
    Column("since_unix_ms", BigInteger, nullable=False),
    Column("received_at_unix_ms", BigInteger, nullable=False),
    Column("silent_after_s", Integer, nullable=False),
    Column("silent_since_unix_ms", BigInteger),  # NULL = it reports as it should
    Column("figures", Text, nullable=False),  # JSON
    Column("reported_by", Text, nullable=False),  # name of the key
)
Index("ix_reported_devices_reported_by", reported_devices.c.reported_by)

device_keys = Table(
    "device_keys",
    metadata,
    Column("key", Text, primary_key=True),  # its name, for people
    Column("secret_hash", LargeBinary(32), nullable=False),  # SHA-256 of 32 random bytes
    Column("kinds", Text, nullable=False),  # JSON: kinds of device that it may report
    Column("reads", Boolean, nullable=False),  # whether it may read what is known of all devices
    Column("created_by", Text, nullable=False),
    Column("created_at_unix_ms", BigInteger, nullable=False),
    Column("revoked_at_unix_ms", BigInteger),
)
