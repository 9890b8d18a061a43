(defchor ask [A B] (-> A B) [title]
  (let [send (chor (-> A B) [x] (A->B x))]
    ((inst send [A B]) title)))
