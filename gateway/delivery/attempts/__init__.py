"""One attempt: sent by the plugin, its end classified, its receipt kept."""
