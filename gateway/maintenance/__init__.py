"""What is done now and then: retention, and the watch over the store's clock."""
