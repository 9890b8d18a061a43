(defchor share [A B C] (-> A #{A B C}) [x]
  (A=>B x))
