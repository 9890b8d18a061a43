(defchor both [A B] (-> [A B] A) [pair]
  (pair 0))
