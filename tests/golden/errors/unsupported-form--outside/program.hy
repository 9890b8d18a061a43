(defn send [x]
  (copy [A B] x))
