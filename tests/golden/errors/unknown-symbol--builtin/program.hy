(defchor ask [A B] (-> A B) [x]
  (os.path [A B] x))
