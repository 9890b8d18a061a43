(defchor greet [A B] (-> A #{A B}) [name]
  (let [shared (A=>B name)]
    (A=>B shared)))
