(defchor apply [A B] (-> A B) [x]
  (A->B (A ((fn [y] (A->B y)) x))))
