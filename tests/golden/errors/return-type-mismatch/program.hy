(defchor greet [A B] (-> A B) [name]
  (A (+ "Hello " name)))
