(defchor ask [A B] (-> A B) [x]
  (move [A B C] x))
