"""Month end: what was won against what was invoiced, every difference named and explained."""
