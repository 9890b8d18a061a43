(defchor greet [A B] (-> A B) [name]
  (narrow [B C] (A=>B name)))
