"""A line's own process: the pure runtime, tied to the database and to Redis, either of which may be away."""
