(defchor first [A B] (-> [A B] A) [[x [y z]]]
  x)
