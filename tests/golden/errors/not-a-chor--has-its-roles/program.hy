(defchor ask [A B] (-> A B) [title]
  (let [send (chor (-> A B) [x] (A->B x))]
    (send [A B] title)))
