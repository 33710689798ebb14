"""Everything that needs torch; importing this package alone imports none of it."""
