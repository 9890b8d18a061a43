(defchor fetch-both [A B] (-> A B A) [url other]
  (A (+ (await (fetch url))
        (B->A (B (await (fetch other))))
        (await (first-of (fetch "x") (B->A (B (log "y"))))))))
