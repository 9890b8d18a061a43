(defchor area [A B] (-> A B) [shape]
  (A->B (A (* 2 (B shape.width)))))
