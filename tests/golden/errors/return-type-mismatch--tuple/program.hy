(defchor both [A B] (-> A B [A B]) [x y]
  (pack y x))
