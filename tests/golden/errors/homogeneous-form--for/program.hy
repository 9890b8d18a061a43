(defchor stream [A B] (-> A B) [items]
  (for [item items]
    (B (print (A->B item)))))
