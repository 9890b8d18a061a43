(defchor greet [A B C] (-> A C) [name]
  (B->C (A (+ "Hello " name))))
