(defchor greet [A B] (-> A B) [name]
  (A->B (A (print A name))))
