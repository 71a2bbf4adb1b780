"""One file per concern, all pure: Inventory in, labels out."""
