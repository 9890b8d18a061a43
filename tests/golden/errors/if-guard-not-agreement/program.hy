(defchor choose [A B] (-> [A B] A) [pair]
  (if pair (A 1) (A 2)))
