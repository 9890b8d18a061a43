(defchor choose [A B] (-> A B A) [x y]
  (if (A=>B x)
      (B->A y)
      y))
