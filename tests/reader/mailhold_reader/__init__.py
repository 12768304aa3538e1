"""The second reader, a module per page of docs/format/. See ../read_repository.py."""
