(defchor twice [A B] (-> #{A B} B B) [x y]
  (B (A (+ x y))))
