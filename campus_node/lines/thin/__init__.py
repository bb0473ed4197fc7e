"""The thin link: radio of the Zigbee class, cells of at most 100 bytes, 20 kbit/s, lossy (B3, B4.1).

Start with `cells` (what is on the air), then `transfer` (selective repetition), then `line` and its two ends,
`head` and `terminal`; `radio` is what carries cells.
"""
