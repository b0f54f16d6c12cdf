"""A burst of notifications against the limits of a doForms account."""
