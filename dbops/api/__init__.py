"""The JSON API: what the pages say and do, for programs with a token. Manual: docs/api.md."""
