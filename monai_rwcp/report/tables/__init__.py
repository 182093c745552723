"""Tables, cards and the numbers in them."""
