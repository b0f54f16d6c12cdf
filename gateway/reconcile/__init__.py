"""What doForms received compared with what was kept here; what is missing is let in."""
