(defchor show [A B] (-> #{A B} A) [x] (A (print x)))
(defchor greet [A B] (-> A A) [name]
  (show [A B] name))
