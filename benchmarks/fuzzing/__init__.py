"""Parts of benchmarks/fuzz.py: small whole files, what is damaged in them, and what is done with them."""
