"""Reports outcomes to doForms."""
