"""Programs of conversations: servers whose clients are presences.

echo says each line again; date tells the date and hangs up; chat is a room for many; dns forwards and caches; ssh opens a
front door; booksale is a choreography whose roles meet by presence.
"""
