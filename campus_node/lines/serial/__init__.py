"""RS-485: polled, half-duplex, one head and up to 254 terminals (B4.1–B4.4).

`frames` what is on the wire, `timing` how long it takes, `port` who carries it, `contact` one direction of
one peer, `line` what both ends share, `head` and `terminal` the two ends, `schedule` whose turn it is,
`search` who is there and at which rate, `watch` who disturbs, `spread*` images to everybody at once."""
