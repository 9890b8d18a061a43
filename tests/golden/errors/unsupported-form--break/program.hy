(defchor serve [A B] (-> A B) [x]
  (A (with [file (open x)]
       (return (.read file))))
  (A->B x))
