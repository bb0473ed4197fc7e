"""Watching a line: what its frames and messages say, in words; listening only (B4.3, B5.2, A12).

`can_ear` and `serial_ear` put messages together again from what everybody may hear; `talk` says what they
are, and with the keys of a gateway what is inside; `recording` reads and writes captures; `scan` tells who is
there. Nothing that stands on a wire makes any of them raise.
"""
