(defchor step [S C] (-> S C) [x]
  (S->C x))
(update step [S C] (-> S #{S C}) [x]
  (S=>C (S (+ x 1))))
