"""What a person, or a watch in their stead, asks of the store and orders."""
