"""Sessions between processes: seats, their channels, and the node that holds them."""
