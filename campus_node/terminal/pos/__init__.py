"""The till: what a cashier, a driver or a water tap shows and does when a card is laid on it (B1.1, B2.1)."""
