"""Questions of a form and routes that do not fit any more."""
