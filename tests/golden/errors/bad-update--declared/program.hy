(defchor step [S C] (-> S C))
(update step [S C] (-> S C) [x]
  (S->C (S (+ x 1))))
