"""What ends a comparison, and what ends one query."""


class Failure(Exception):
    """The comparison cannot go on; the text says what to do."""


class QueryFailed(Exception):
    """An engine has no answer to a query; the others may have."""
