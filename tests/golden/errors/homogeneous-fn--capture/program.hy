(defchor add [A B] (-> A B A) [x y]
  (A ((fn [z] (+ y z)) x)))
