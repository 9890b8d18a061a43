(defchor serve [A] (-> A) []
  #nope 1)
