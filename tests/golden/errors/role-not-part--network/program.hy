(import klorpy)
(.endpoint (klorpy.MemoryNetwork ["A" "B"]) "C")
