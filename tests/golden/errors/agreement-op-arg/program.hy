(defchor sum [A B] (-> A B B) [x y]
  (B (+ x y)))
