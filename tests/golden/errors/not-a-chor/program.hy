(defn price-of [title] (len title))
(defchor ask [A B] (-> A B) [title]
  (price-of [A B] (A->B title)))
