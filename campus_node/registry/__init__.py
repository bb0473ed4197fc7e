"""Who is known: terminals, the PSAMs in them, and cards with what is the matter with them."""
