(defchor greet [A B] (-> A B) [name]
  (A->B (if name (A (+ "Hello " name)))))
