"""What we know about a Postgres server, one subject a file."""
