"""Commands of `muniment`, one file for each noun."""
