(defchor each [A B] (-> A B) [items]
  (A (list (map A->B items)))
  (A->B items))
