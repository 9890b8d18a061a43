(defchor greet [A B] (-> A B) [name])
