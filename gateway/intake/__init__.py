"""From a notification to its deliveries: whether there is room for it, which lanes and which mode."""
