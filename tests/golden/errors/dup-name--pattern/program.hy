(defchor serve [A B] (-> A A) [x]
  (A (match x
       [A rest] rest
       _ None)))
