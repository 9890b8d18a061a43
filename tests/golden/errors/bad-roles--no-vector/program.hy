(defchor greet (-> A B) [name]
  (A->B name))
