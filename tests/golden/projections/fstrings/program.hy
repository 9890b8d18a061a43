(defchor greet [A B] (-> A B B) [first last]
  (B f"Dear {(A->B first)} {last !r:>10}, {(log "x")} and {(A->B (A (log first)))}"))
