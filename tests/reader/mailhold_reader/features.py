"""
What of the format a reader came across. A golden repository keeps readable only what it holds, so whoever makes one asks
for what is missing in it.
"""
seen = set()

ALL = {
    "key file slot",
    "record of kind 1", "record of kind 2", "record of kind 3", "record of kind 5", "record of kind 16",
    "snapshot with a base",
    *(f"block of class {n}" for n in range(1, 12)),
    "block stored", "block in zstd",
    "node of level 0", "node of level 1", "empty collection", "collection of several pages",
    "list chunk", "attribute in a chunk", "attribute in place", "key without summary", "key that shares bytes",
    "literal", "part of one chunk", "part in several chunks",
    "base64 in one line", "base64 with LF", "base64 with CR LF", "base64 with a space", "base64 with a tab",
    "base64 without tail",
    *(f"fact {n}" for n in (1, 2, 4, 5, 7, 8, 9)),
    *(f"state {n}" for n in (1, 2, 3, 4, 5)),
    "key with an ordinal", "place new", "place cur", "file beside the mail", "maildir", "mbox", "files",
}


def saw(what):
    seen.add(what)


def missing():
    return sorted(ALL - seen)
