"""Users of the shop, as a package."""
