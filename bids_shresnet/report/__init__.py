"""HTML reports, their figures and the methods text."""
