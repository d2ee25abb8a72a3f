"""What each page shows: one frozen dataclass feeds the page and its fragments."""
