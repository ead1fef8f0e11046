"""Small things that every floor may use."""
