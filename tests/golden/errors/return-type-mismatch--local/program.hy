(defchor greet [A B] (-> A B) [name]
  (let [everywhere (A=>B name)]
    everywhere))
