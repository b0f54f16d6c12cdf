"""Templates of the routes file: parsed and compiled when it is loaded, rendered for each delivery."""
