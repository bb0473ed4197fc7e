"""What a campus says to all its terminals: revocations, hotlists, parameters, orders (A15, B4.4).

`desk` is what others ask; `hotlists`, `parameters` and `orders` are what stands behind it in the database,
`announcing` tells gateways what is new, `shelf` keeps the bytes that are distributed.
"""
