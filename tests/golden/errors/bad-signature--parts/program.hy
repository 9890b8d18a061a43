(defchor one [A B] (-> A #{}) [x] x)
