(defchor greet [A B C] (-> A C) [name]
  (narrow [C] (A=>B name)))
