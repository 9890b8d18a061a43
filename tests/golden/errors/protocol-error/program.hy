(import klorpy.runtime.sessions.channel [DATA Frame Incoming Window])
(setv frames (Incoming (Window :frames 4)))
(.arrived frames (Frame DATA 99 0 b"" b"a value"))
