"""The gateway of a building: lines to terminals on one side, the campus's node on the other (B3, B4.1, A10).

It keeps what terminals bring until the node has it, and goes on while the node is away. Start with `spool`
(what is durable), then `attendant` (what one message leads to), `desk` (one line and its sessions), `intake`
(from the desks into the spool), `link` (the stream to the node), `building` (what all of it knows) and
`process` (all parts, put together by hand).
"""
