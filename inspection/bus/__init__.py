"""What passes through Redis between the web processes and a line's own: signs of life, wake-ups, frames.

Nothing here is the only place where something is kept: the line judges, and answers its PLC, without Redis.
"""
