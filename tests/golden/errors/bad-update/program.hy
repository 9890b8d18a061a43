(defn step [x] x)
(update step [S C] (-> S C) [x]
  (S->C (S (+ x 1))))
