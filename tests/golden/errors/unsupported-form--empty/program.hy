(defchor nothing [A B] (-> A B) [x]
  (A ())
  (A->B x))
