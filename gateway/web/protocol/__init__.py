"""HTTP/1.1 with bounds: on heads, connections, and what is thrown away."""
