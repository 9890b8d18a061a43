(defchor greet [A B] (-> B) []
  (A->B "hello"))
