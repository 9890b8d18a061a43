(defchor exchange [A B] (-> A A B) [x y]
  (A->B (pack x y)))
