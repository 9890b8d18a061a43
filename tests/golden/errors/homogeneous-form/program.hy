(defchor all [A B] (-> A B) [items]
  (A->B (A (lfor item items (A->B item)))))
