(defchor one [A B] (-> #{A B A} B) [x] x)
