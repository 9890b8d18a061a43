(defchor tell [A B] (-> A B) [x]
  (move [A] x))
