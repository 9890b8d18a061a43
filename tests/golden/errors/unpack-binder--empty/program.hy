(defchor first [A B] (-> [A B] A) [[]]
  (A 1))
