(defchor sign [A B] (-> A #{A B}) [n]
  (let [n (A=>B n)]
    (cond (> n 0) (do (A (print "up")) (lifting [A B] 1))
          (< n 0) (do (B (print "down")) (lifting [A B] -1))
          :else 0)))

(defchor maybe [A B] (-> #{A B} A #{A B}) [flag x]
  (when (and flag (A=>B (A (> x 0))) (or (= flag 1) (A=>B (A (< x 100)))))
    (B (print "got" (A->B x)))
    (not flag)))
