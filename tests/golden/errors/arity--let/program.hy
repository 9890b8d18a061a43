(defchor greet [A B] (-> A B) [name]
  (let [text]
    (A->B name)))
