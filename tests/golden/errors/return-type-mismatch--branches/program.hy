(defchor greet [A B] (-> A B) [name]
  (if (A=>B (A (bool name)))
      (A (+ "Hello " name))
      (A "nobody")))
