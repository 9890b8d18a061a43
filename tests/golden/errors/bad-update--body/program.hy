(defchor step [S C] (-> S C) [x]
  (S->C x))
(update step [S C] (-> S C))
